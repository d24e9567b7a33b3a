"""Tests of the table of published networks: conversions, skipped ones, the page."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from snnquant.pipeline.run import Run
from snnquant.scenes import load_scene

SCRIPT = Path(__file__).parents[2] / "scripts" / "study" / "convert_published.py"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, working in its own folder."""
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("convert_published", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "convert_published", module)  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


def result(oa: float, trained: float | None = None) -> dict[str, Any]:
    """Return the record of a conversion whose CNN has an OA of 0.9."""
    own = {"oa": oa, "aa": oa, "kappa": oa}
    found = {
        "cpu_seconds": 30,
        "cnn_fp32": {**own, "oa": 0.9},
        "snn_converted": own,
        "split": {"train": 90, "val": 10, "test": 1234, "leakage": 1.0},
        "parameters": 5678,
    }
    return found if trained is None else {**found, "snn_trained": {**own, "oa": trained}}


def test_the_page_shows_what_is_recorded(script: ModuleType, tmp_path: Path) -> None:
    runs = {str(steps): result(0.8 + steps / 1000) for steps in script.TIME_STEPS}
    training = {"train": 90, "val": 10, "test": 1234, "cpu_seconds": 60}
    empty: dict[str, Any] = {"epochs": 1, "runs": {}}
    records = {row.architecture: empty for row in script.ROWS}
    records["li"] = {"training": training, "runs": {**runs, "finetuned": result(0.7, 0.89)}}
    twice = {"finetuned": result(0.7, 0.88), "longer": result(0.7, 0.895)}
    records["hu_relu"] = {"training": training, "runs": twice}
    records["hu"] = {"training": training, "runs": {"4": {"refused": "no", "cpu_seconds": 1}}}
    records["luo"] = {"training": training, "runs": {"8": runs["8"]}}
    script.write_page(tmp_path, records)
    lines = (tmp_path / "published.md").read_text().splitlines()
    (li,) = [line for line in lines if line.startswith("| li |")]
    assert li == (
        "| li | 5,678 | 1,234 | 90.00 | 80.40 | 80.80 | 81.60 | 83.20 | 6.80 | 89.00 | 1.00 "
        "| - | - |"
    )
    (hu_relu,) = [line for line in lines if line.startswith("| hu_relu |")]
    assert hu_relu.endswith(" | 88.00 | 2.00 | 89.50 | 0.50 |")
    (remark,) = [line for line in lines if line.startswith("- hu_relu:")]
    assert "100 epochs, the SNN 50, a second one 100; " in remark
    (luo,) = [line for line in lines if line.startswith("| luo |")]
    assert luo == "| luo | 5,678 | 1,234 | 90.00 | - | 80.80 | - | - | - | - | - | - | - |"
    assert not [line for line in lines if line.startswith(("| hu |", "| hamida |"))]
    (hu,) = [line for line in lines if line.startswith("- hu:")]
    assert hu.endswith("refused: `no`")
    (remark,) = [line for line in lines if line.startswith("- li:")]
    assert "3.5 core minutes" in remark  # 60 s of training and five times 30 s


def test_slow_networks_learn_and_are_tested_on_different_pixels(script: ModuleType) -> None:
    row = script.Row("luo", 1, learn=0.15, test=321)
    script.write_pixels(row)
    split = Run(script.WORK / "none", row.config).split
    labels = load_scene(script.SCENE).labels.ravel()
    learn = np.concatenate([split.train, split.val])
    assert len(split.test) == 321
    assert not np.intersect1d(learn, split.test).size
    for number in range(1, labels.max() + 1):
        count = (labels == number).sum()
        expected = max(2, count * 0.15)
        assert abs((labels[learn] == number).sum() - expected) <= 0.5
    before = row.card.with_name("test.npy").read_bytes()
    script.write_pixels(row)
    assert row.card.with_name("test.npy").read_bytes() == before


def test_an_snn_gets_half_the_epochs_of_its_cnn_and_a_second_one_its_own(
    script: ModuleType,
) -> None:
    row = script.Row("luo", epochs=7, precision="bfloat16", longer=9)
    first, second = row.commands["finetuned"], row.commands["longer"]
    different = [pair for pair in zip(first, second, strict=True) if len(set(pair)) == 2]
    assert different == [("3", "9")]
    assert "--finetune" in first
    assert row.config.training.precision == first[first.index("--precision") + 1] == "bfloat16"
    assert "longer" not in script.Row("luo", epochs=7).commands


@pytest.mark.slow
def test_the_table_fills_itself_skips_what_is_done_and_resumes(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = (script.Row("hu_relu", 2), script.Row("hu", 1))
    monkeypatch.setattr(script, "ROWS", rows)
    monkeypatch.setattr(script, "SCENE", "synthetic:20x20x24")
    monkeypatch.setattr(script, "TIME_STEPS", (3,))

    def call(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["convert_published.py", *options])
        script.main()
        return capsys.readouterr().out

    output = ["--output", str(tmp_path / "results")]
    assert "2 conversions are left" in call("--list", "--architectures", "hu_relu", *output)
    assert not list(tmp_path.iterdir())
    assert "4 conversions are left" in call(*output)
    file = tmp_path / "results" / "published" / "hu_relu.json"
    record = json.loads(file.read_text())
    assert set(record["runs"]) == {"3", "finetuned"}
    for run in record["runs"].values():
        assert run["cnn_fp32"] == record["runs"]["3"]["cnn_fp32"]
        assert run["split"]["test"] == record["training"]["test"]
    assert (
        f"{100 * record['runs']['finetuned']['snn_trained']['oa']:.2f}"
        in (tmp_path / "results" / "published.md").read_text()
    )
    state = torch.load(script.WORK / "hu_relu.pt", weights_only=True)
    assert set(state) >= {"conv1.weight", "classifier.bias"}
    (refused,) = json.loads(file.with_name("hu.json").read_text())["runs"].values()
    assert refused["refused"] == (
        "snnquant: --model hu: layer tanh_conv1 (Tanh) has negative values, which spikes have not: "
        "take hu_relu"
    )
    assert sorted(path.suffix for path in script.WORK.iterdir()) == [".pt", ".pt"]  # no folders

    assert "0 conversions are left" in call(*output)
    assert json.loads(file.read_text()) == record
    record["runs"]["3"]["command"] += " --seed 1"  # made with another command
    file.write_text(json.dumps(record))
    assert "--time-steps 3" in call("--list", *output)
    assert "hu_relu, 3: done" in call(*output)
    again = json.loads(file.read_text())["runs"]
    assert set(again) == {"3", "finetuned"}
    assert again["3"]["command"].endswith("--time-steps 3")
