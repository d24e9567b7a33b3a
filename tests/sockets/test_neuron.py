"""A neuron model from one file outside of the package, on the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from snnquant.checkpoints import load_checkpoint
from snnquant.checkpoints.tensorfile import read_tensors, write_tensors
from snnquant.config import NeuronConfig, read_config

PLUGIN = '''
"""A neuron whose potential falls to a quarter at a spike."""

import torch
from torch import nn

from snnquant.spiking import NEURONS, Neuron, Surrogate, spike


@NEURONS.register("fraction")
class Fraction(Neuron):
    def __init__(self, surrogate, initial):
        super().__init__()
        self.leak, self.threshold = (nn.Parameter(torch.ones(())) for _ in range(2))
        self.surrogate, self.initial = surrogate, initial

    @classmethod
    def from_config(cls, config):
        surrogate = Surrogate(config.surrogate, config.surrogate_scale, config.surrogate_width)
        return cls(surrogate, config.initial)

    def forward(self, current):
        potential, spikes = self.initial * self.threshold, []
        for step in current.unbind(0):
            potential = self.leak * potential + step
            spikes.append(spike(potential / self.threshold - 1, self.surrogate))
            potential = potential * (1 - 0.75 * spikes[-1])
        return torch.stack(spikes)

    @torch.no_grad()
    def reset_parameters(self):
        self.leak.fill_(1.0)
        self.threshold.fill_(1.0)
'''
SECOND_NAME = """
from snnquant.spiking import LIF

NEURONS.register("lif_again")(LIF)
"""
OPTIONS = (
    *("--scene", "synthetic:24x24x16", "--model", "cnn32h", "--widths", "4", "4", "8", "8"),
    *("--batch-size", "32", "--quantized-epochs", "1"),
)
FEW = ("--cnn-epochs", "2", "--snn-epochs", "2")
ENOUGH = ("--cnn-epochs", "30", "--snn-epochs", "20")
# One process for several commands: most of a command's time is the import of torch.
COMMANDS = """
import contextlib, io, json, sys
from snnquant.cli import main
outcomes = []
for arguments in json.loads(sys.argv[1]):
    code, out, err = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    outcomes.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(outcomes))
"""
Call = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the plugin, the only file that the neuron model needs."""
    folder = tmp_path_factory.mktemp("neuron")
    (folder / "plugin.py").write_text(PLUGIN + SECOND_NAME)
    return folder


@pytest.fixture(scope="module")
def call(folder: Path) -> Call:
    """Run commands of snnquant with the plugin; return exit code, output and errors of each."""

    def run(*commands: list[str], plugin: bool = True) -> list[Any]:
        environment = {**os.environ, "SNNQUANT_PLUGINS": "plugin.py" if plugin else ""}
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS, json.dumps(commands)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        outcomes: list[Any] = json.loads(done.stdout)
        return outcomes

    return run


@pytest.fixture(scope="module")
def metrics(call: Call) -> dict[str, Any]:
    """Return the metrics of three runs, one per neuron model."""
    epochs = {"fraction": ENOUGH, "lif": FEW, "lif_again": FEW}
    found = call(
        *(
            ["run", *OPTIONS, *own, "--neuron", name, "--output", name, "--json"]
            for name, own in epochs.items()
        )
    )
    assert [code for code, _, _ in found] == [0] * 3, found
    return {name: json.loads(out) for name, (_, out, _) in zip(epochs, found, strict=True)}


def tensors(file: Path) -> dict[str, torch.Tensor]:
    with safe_open(file, "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


@pytest.mark.slow
def test_it_is_trained_evaluated_and_mapped(
    folder: Path, metrics: dict[str, Any], call: Call
) -> None:
    trained = metrics["fraction"]["snn_trained"]
    assert trained["oa"] > 0.5
    assert (folder / "fraction" / "map.png").exists()
    assert read_config(folder / "fraction" / "config.toml").neuron.neuron == "fraction"
    before, after = (
        tensors(folder / "fraction" / file)
        for file in ("snn_converted.safetensors", "snn.safetensors")
    )
    thresholds = [name for name in before if name.endswith("threshold")]
    assert thresholds
    assert all(not torch.equal(before[name], after[name]) for name in thresholds)
    again, mapped = call(["evaluate", "fraction", "--json"], ["map", "fraction"])
    assert again[0] == mapped[0] == 0, (again, mapped)
    assert json.loads(again[1])["snn_trained"] == trained


@pytest.mark.slow
def test_exporters_and_the_integer_engine_refuse_its_class_in_one_line(
    folder: Path, metrics: dict[str, Any], call: Call
) -> None:
    formats = ("onnx", "nir", "snntorch", "brian2")
    outcomes = call(
        *(["export", "fraction", "--format", f, "--output", f"x.{f}.py"] for f in formats),
        ["map", "fraction", "--engine", "integer"],
    )
    for code, out, err in outcomes:
        assert (code, out) == (2, "")
        *progress, line = err.splitlines()
        assert all(": 0/" in remark for remark in progress)
        assert line.endswith("layer lif1: found neurons of class Fraction, expected LIF")
    assert not list(folder.glob("*x.*"))


@pytest.mark.slow
def test_lif_under_another_name_gives_every_bit(folder: Path, metrics: dict[str, Any]) -> None:
    for file in ("snn_converted.safetensors", "snn.safetensors"):
        first, second = (tensors(folder / name / file) for name in ("lif", "lif_again"))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
    for network in ("snn_converted", "snn_trained"):
        assert metrics["lif"][network] == metrics["lif_again"][network]
    maps = [(folder / name / "map.npy").read_bytes() for name in ("lif", "lif_again")]
    assert maps[0] == maps[1]


@pytest.mark.slow
def test_without_its_file_the_run_and_its_checkpoint_are_refused(
    metrics: dict[str, Any], call: Call
) -> None:
    outcomes = call(
        ["evaluate", "fraction"],
        ["workload", "fraction/snn.safetensors", "w.json", "--scene", "synthetic:24x24x16"],
        plugin=False,
    )
    for code, out, err in outcomes:
        assert (code, out) == (2, "")
        assert "neuron: found 'fraction', expected one of lif" in err.splitlines()[-1]


def test_an_unknown_name_is_refused_before_anything_is_written(folder: Path, call: Call) -> None:
    ((code, out, err),) = call(["run", *OPTIONS, "--neuron", "glif", "--output", "none"])
    expected = "snnquant: neuron: found 'glif', expected one of lif, fraction, lif_again\n"
    assert (code, out, err) == (2, "", expected)
    assert not (folder / "none").exists()


@pytest.mark.slow
def test_files_from_before_the_option_mean_lif(
    folder: Path, metrics: dict[str, Any], tmp_path: Path
) -> None:
    values, header = read_tensors(folder / "lif" / "snn.safetensors")
    assert header["neuron"].pop("neuron") == "lif"
    write_tensors(tmp_path / "old.safetensors", values, header)
    assert load_checkpoint(tmp_path / "old.safetensors").neuron == NeuronConfig()
    lines = (folder / "lif" / "config.toml").read_text().splitlines(keepends=True)
    assert 'neuron = "lif"\n' in lines
    (tmp_path / "config.toml").write_text("".join(x for x in lines if "neuron =" not in x))
    assert read_config(tmp_path / "config.toml").neuron == NeuronConfig()
