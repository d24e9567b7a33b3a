"""`snnquant convert --architecture`: published networks, and classes of the user's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from snnquant.checkpoints import load_checkpoint
from snnquant.config import ModelConfig
from snnquant.importers.user_code import build_from_code
from snnquant.models import build_model

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command, Contents, Refused

BANDS, CLASSES = 16, 8
SCENE = ("--scene", f"synthetic:24x24x{BANDS}")
NET = """
import helper
from torch import nn, relu, softmax

open("ran", "a").write("x")


class Net(nn.Module):
    def __init__(self, input_channels, n_classes, patch_size=5, width=6):
        super().__init__()
        self.conv1 = nn.Conv2d(input_channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.dense = nn.Linear(width * patch_size * patch_size, n_classes)

    def forward(self, x):
        x = helper.rectify(self.norm(self.conv1(x)))
        x = relu(self.conv2(x) + x)
        return softmax(self.dense(x.flatten(1)), 1)


class Needs(nn.Module):
    def __init__(self, secret):
        super().__init__()


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        raise RuntimeError("no luck\\ntoday")


class Leaves(nn.Module):
    def __init__(self):
        raise SystemExit(0)


class Squashed(nn.Module):
    def __init__(self, bands, classes):
        super().__init__()
        self.dense = nn.Linear(25 * bands, classes)

    def forward(self, x):
        return self.dense(x.flatten(1)).sigmoid()


NUMBER = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with net.py, the module that it imports, and weights of its Net."""
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "helper.py").write_text("from torch.nn.functional import relu as rectify\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    torch.manual_seed(0)
    network, _ = build_from_code("net.py:Net", BANDS, CLASSES, 5)
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, tmp_path / "net.ckpt")
    (tmp_path / "ran").unlink()
    return tmp_path


def test_without_trust_nothing_is_run(here: Path, refused: Refused) -> None:
    line = refused("convert", "net.ckpt", *SCENE, "--architecture", "net.py:Net")
    assert "--trust-code" in line
    assert "net.py:Net" in line


def test_your_own_class(here: Path, snnquant: Command) -> None:
    options = ("--architecture", "net.py:Net", "--trust-code", "--output", "run")
    outcome = snnquant("convert", "net.ckpt", *SCENE, *options, "--json")
    assert outcome.code == 0, outcome.err
    assert "net.py:Net: its code is executed now (--trust-code)" in outcome.err.splitlines()
    assert "built as Net(input_channels=16, n_classes=8, patch_size=5)" in outcome.err
    assert "[N, bands, window, window]" in outcome.err
    assert not list(here.rglob("__pycache__"))
    metrics = json.loads(outcome.out)
    assert {"cnn_fp32", "snn_converted"} <= set(metrics)
    checkpoint = load_checkpoint(here / "run" / "cnn.safetensors")
    network, _ = build_from_code("net.py:Net", BANDS, CLASSES, 5)
    network.load_state_dict(torch.load(here / "net.ckpt")["state_dict"])
    patches = torch.randn(4, 1, BANDS, 5, 5)
    with torch.no_grad():
        mine = checkpoint.network(patches).softmax(1)
        torch.testing.assert_close(mine, network.eval()(patches[:, 0]))


def test_the_code_is_not_needed_afterwards(here: Path, snnquant: Command) -> None:
    options = ("--architecture", "net.py:Net", "--trust-code", "--finetune", "--output", "run")
    quick = ("--quantized-epochs", "1", "--snn-epochs", "1")
    outcome = snnquant("convert", "net.ckpt", *SCENE, *quick, *options, "--json")
    assert outcome.code == 0, outcome.err
    for file in ("net.py", "helper.py", "net.ckpt", "ran"):
        (here / file).unlink()
    again = snnquant("evaluate", "run", "--json")
    metrics, converted = json.loads(again.out), json.loads(outcome.out)
    assert {"cnn_twin", "snn_trained", "rival"} <= set(metrics)
    assert metrics.items() <= converted.items()
    assert set(converted) - set(metrics) == {"conversion", "key_map"}
    sources = [row["source"] for row in converted["key_map"]["operations"]]
    assert any("net.py:17" in source for source in sources), sources


def test_the_report_is_printed(here: Path, snnquant: Command) -> None:
    options = ("--architecture", "net.py:Net", "--trust-code", "--output", "run")
    outcome = snnquant("convert", "net.ckpt", *SCENE, *options)
    assert outcome.code == 0, outcome.err
    words = " ".join(outcome.out.split())
    for part in ("net.py:", "conv1", "folded", "threshold", "validation OA", "run: run"):
        assert part in words, part


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Needs", ["net.py:Needs", "secret"]),
        ("Fails", ["net.py:", "RuntimeError: no luck today"]),
        ("Leaves", ["net.py:", "SystemExit"]),
        ("Nothing", ["net.py:Nothing", "found nothing"]),
        ("NUMBER", ["net.py:NUMBER", "found int"]),
    ],
)
def test_code_that_makes_no_network(
    here: Path, snnquant: Command, contents: Contents, name: str, words: list[str]
) -> None:
    options = ("--architecture", f"net.py:{name}", "--trust-code")
    outcome = snnquant("convert", "net.ckpt", *SCENE, *options)
    assert (outcome.code, outcome.out) == (2, "")
    line = outcome.err.splitlines()[-1]
    assert all(word in line for word in words), line
    assert not (here / "runs").exists()


def test_a_network_without_a_spiking_form(here: Path, snnquant: Command) -> None:
    network, _ = build_from_code("net.py:Squashed", BANDS, CLASSES, 5)
    torch.save(network.state_dict(), "squashed.pt")
    options = ("--architecture", "net.py:Squashed", "--trust-code")
    outcome = snnquant("convert", "squashed.pt", *SCENE, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert "sigmoid" in outcome.err.splitlines()[-1]
    assert not (here / "runs").exists()


@pytest.mark.parametrize("subcommand", ["run", "train"])
def test_your_own_class_cannot_be_trained(here: Path, refused: Refused, subcommand: str) -> None:
    line = refused(subcommand, *SCENE, "--model", "net.py:Net")
    assert "only convert takes" in line


@pytest.mark.parametrize("name", ["hamida", "li", "makantasis", "hu_relu"])
def test_a_published_network_under_other_names(name: str, here: Path, snnquant: Command) -> None:
    """DataParallel's prefix, and layers named by number."""
    torch.manual_seed(0)
    cnn = build_model(ModelConfig(name=name), BANDS, CLASSES)
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in cnn.state_dict()))
    state = {
        f"module.{layers.index(key.rpartition('.')[0])}.{key.rpartition('.')[2]}": value
        for key, value in cnn.state_dict().items()
    }
    torch.save(state, "cnn.pt")
    options = ("--architecture", name, "--output", "run", "--time-steps", "3")
    outcome = snnquant("convert", "cnn.pt", *SCENE, *options, "--json")
    assert outcome.code == 0, outcome.err
    assert "cnn.pt: module.0.weight is conv1.weight" in outcome.err.splitlines()
    key_map = json.loads((here / "run" / "key_map.json").read_text())
    assert key_map["by"] == "order"
    assert len(key_map["pairs"]) == len(state)
    read = load_checkpoint(here / "run" / "cnn.safetensors").network
    assert all(
        torch.equal(value, read.state_dict()[key]) for key, value in cnn.state_dict().items()
    )


def test_the_published_network_that_has_no_spiking_form(here: Path, refused: Refused) -> None:
    cnn = build_model(ModelConfig(name="hu"), BANDS, CLASSES)
    torch.save(cnn.state_dict(), "cnn.pt")
    for arguments in (["convert", "cnn.pt"], ["run"]):
        line = refused(*arguments, *SCENE, "--architecture", "hu")
        assert line.startswith("--model hu: layer tanh_conv1 (Tanh)")
        assert line.endswith("take hu_relu")
