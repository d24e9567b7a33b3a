from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pim_sim.cli import main as pim_sim
from pim_sim.workload import Workload
from snnquant.cli import main as snnquant

SCENE = "synthetic:16x15x20"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "run"
    short = [f"--{stage}-epochs=1" for stage in ("cnn", "quantized", "snn")]
    options = [
        "--model",
        "cnn32h",
        "--widths",
        "2",
        "3",
        "4",
        "3",
        "--time-steps",
        "3",
        "--bits",
        "5",
    ]
    snnquant(["run", "--scene", SCENE, *short, *options, "--output", str(folder)])
    return folder


def _answer(capsys: pytest.CaptureFixture[str], *source: str) -> dict[str, Any]:
    capsys.readouterr()
    pim_sim(["run", *source, "--hardware", "c2c_22nm", "--json"])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_workload_of_a_checkpoint_is_that_of_its_run_except_for_densities(
    run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "workload.json"
    snnquant(["workload", str(run / "snn.safetensors"), str(file), "--scene", SCENE])
    found, expected = Workload.from_json(file), Workload.from_json(run / "workload.json")
    assert found.name == expected.name
    assert len(found.layers) == len(expected.layers)
    for ours, theirs in zip(found.layers, expected.layers, strict=True):
        # all labelled pixels there, those for testing here
        assert ours.input_density == pytest.approx(theirs.input_density, abs=0.1)
        assert ours.input_mean == pytest.approx(theirs.input_mean, abs=0.1)
        assert ours.active_share == pytest.approx(theirs.active_share, abs=0.15)
        counted = ("input_density", "accumulates", "input_mean", "active_share", "fetched")
        measured = dict.fromkeys(counted, 0)
        assert (ours.accumulates is None) == (theirs.accumulates is None)
        assert {**vars(ours), **measured} == {**vars(theirs), **measured}
    assert [layer.weight_bits for layer in found.layers] == [5] * len(found.layers)


def test_pim_sim_prices_a_checkpoint_as_its_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_run = _answer(capsys, "--run", str(run))
    file = str(tmp_path / "workload.json")
    snnquant(["workload", str(run / "snn.safetensors"), file, "--scene", SCENE])
    by_checkpoint = _answer(capsys, "--workload", file)
    assert by_checkpoint["utilisation"] == by_run["utilisation"]
    # windows at the edge hold zeros, of which all labelled pixels have other shares than the test's
    for design in ("digital", "in_memory"):
        assert by_checkpoint[design] == pytest.approx(by_run[design], rel=0.02)
        for part, cost in by_run["breakdown"][design].items():
            assert by_checkpoint["breakdown"][design][part] == pytest.approx(cost, rel=0.02)


@pytest.mark.parametrize(
    ("file", "scene", "named"),
    [
        ("cnn.safetensors", SCENE, "found a CNN, expected a quantized SNN"),
        ("snn_converted.safetensors", SCENE, "found an SNN with weights in floating point"),
        ("snn.safetensors", "synthetic:16x15x21", "found 21 bands in synthetic:16x15x21"),
        ("snn.safetensors", "nowhere", "scene: found nowhere"),
        ("nothing.safetensors", SCENE, "nothing.safetensors: cannot be read"),
    ],
)
def test_checkpoint_that_cannot_be_priced_is_one_line(
    file: str, scene: str, named: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    target = tmp_path / "workload.json"
    with pytest.raises(SystemExit) as stop:
        snnquant(["workload", str(run / file), str(target), "--scene", scene])
    output, line = capsys.readouterr()
    assert (stop.value.code, output, line.count("\n")) == (2, "", 1)
    assert line.startswith("snnquant: ")
    assert not target.exists()
    assert named in line
