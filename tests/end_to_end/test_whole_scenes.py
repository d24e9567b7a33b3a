from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from spectral.io import envi

from snnquant.scenes import load_scene

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

SCENE = "synthetic:24x24x16"


@pytest.mark.parametrize("kind", ["npy", "envi"])
def test_the_scene_s_own_pixels_in_a_file_give_the_scene_s_map(
    copy: Path, snnquant: Command, tmp_path: Path, kind: str
) -> None:
    cube = load_scene(SCENE).cube
    path = tmp_path / ("other.npy" if kind == "npy" else "other.hdr")
    if kind == "npy":
        np.save(path, cube)
    else:
        envi.save_image(str(path), cube, dtype=np.float32, interleave="bsq", ext=".img")
    before = (copy / "map.npy").read_bytes()
    outcome = snnquant("map", copy, "--cube", path)
    assert outcome.code == 0, outcome.err
    assert outcome.out.strip() == str(copy / "map_other.png")
    assert (copy / "map_other.npy").read_bytes() == before
    assert not (copy / "map_other_and_truth.png").exists()
    assert not list(copy.glob("*.unfinished.npy"))


def test_a_map_goes_on_where_it_was_stopped(
    copy: Path, snnquant: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snnquant.inference import tiles

    monkeypatch.setattr(tiles, "TILE", 8)
    (copy / "metrics.json").unlink()  # without scores no page is written, which reads blocks too
    whole = (copy / "map.npy").read_bytes()
    block, calls = tiles.Cube.block, []

    def until(limit: int) -> Any:
        def read(*arguments: Any) -> Any:
            calls.append(1)
            if len(calls) > limit:
                raise KeyboardInterrupt
            return block(*arguments)

        return read

    monkeypatch.setattr(tiles.Cube, "block", until(4))
    stopped = snnquant("map", copy)
    assert stopped.code == 130
    assert "rerun the same command to resume" in stopped.err
    assert len(list(copy.glob("map.*.unfinished.npy"))) == 1
    calls.clear()
    monkeypatch.setattr(tiles.Cube, "block", until(99))
    assert snnquant("map", copy).code == 0
    assert len(calls) == 9 - 4
    assert (copy / "map.npy").read_bytes() == whole
    assert not list(copy.glob("*.unfinished.npy"))


def test_evaluate_changes_the_smoothing_of_later_maps(copy: Path, snnquant: Command) -> None:
    before = (copy / "map.npy").read_bytes()
    options = ("--smoothing", "0", "--unknown-accuracy", "0.5")
    metrics = json.loads(snnquant("evaluate", copy, *options, "--json").out)
    for name, calibration in metrics["calibration"].items():
        assert calibration["sigma"] == 0
        assert calibration["unknown"]["wanted_accuracy"] == 0.5
        assert metrics[name]["smoothed"]["oa"] == metrics[name]["oa"]
    assert snnquant("map", copy).code == 0
    assert (copy / "map.npy").read_bytes() == before
    assert (copy / "map_smoothed.npy").read_bytes() == before
    assert (copy / "map_known.npy").exists()
    assert json.loads(snnquant("evaluate", copy, "--json").out) == metrics
    refused = snnquant("evaluate", copy, "--smoothing", "wide")
    assert refused.code == 2
    assert "--smoothing: found wide, expected auto, 0 to 20 pixels, or edges:N" in refused.err


def test_a_cube_of_other_bands_is_refused(copy: Path, snnquant: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", np.zeros((30, 30, 15), np.int16))
    outcome = snnquant("map", copy, "--cube", tmp_path / "other.npy")
    assert outcome.code == 2
    assert "other.npy: found 15 bands, expected the 16" in outcome.err


@pytest.mark.slow
def test_integers_give_nearly_the_same_map_and_stopping_early_too(
    copy: Path, snnquant: Command
) -> None:
    pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")
    floats = np.load(copy / "map.npy")
    for options in ((), ("--early-exit",)):
        outcome = snnquant("map", copy, "--engine", "integer", *options)
        assert outcome.code == 0, outcome.err
        # A little-trained network is undecided in places; random classes would agree in a fifth.
        assert (np.load(copy / "map.npy") == floats).mean() > 0.9
    result = snnquant("evaluate", copy, "--early-exit", "--integers", "--json")
    metrics = json.loads(result.out)
    assert 1 <= metrics["early_exit"]["mean_steps"] <= metrics["early_exit"]["time_steps"]
    assert sum(metrics["early_exit"]["share_by_step"]) == pytest.approx(1)
    for table, energy in metrics["early_exit"]["energy_pj"].items():
        assert energy <= metrics["early_exit"]["energy_pj_of_all_steps"][table] * (1 + 1e-9)
    fixed = metrics["early_exit"]["fixed_steps"]
    steps = metrics["early_exit"]["time_steps"]
    assert [row["time_steps"] for row in fixed] == list(range(1, steps + 1))
    counts = [row["accumulates_per_mac"] for row in fixed]
    assert counts == sorted(counts)
    full = metrics["early_exit"]["overall_accuracy_of_all_steps"]
    assert fixed[-1]["overall_accuracy"] == full
    assert full == pytest.approx(metrics["integers"]["overall_accuracy_in_floats"])
    assert metrics["integers"]["agreement"] > 0.9
    assert json.loads((copy / "integers.json").read_text()) == metrics["integers"]
    assert json.loads((copy / "early_exit.json").read_text()) == metrics["early_exit"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--early-exit",), "--early-exit: found the float engine"),
        (("--engine", "integer", "--network", "cnn_fp32"), "--network: found cnn_fp32"),
        (("--engine", "integer", "--network", "snn_converted"), "weights are not quantized"),
    ],
)
def test_what_the_integer_engine_cannot_do_is_said(
    copy: Path, snnquant: Command, options: tuple[str, ...], expected: str
) -> None:
    pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")
    outcome = snnquant("map", copy, *options)
    assert outcome.code == 2
    assert expected in outcome.err
    assert outcome.err.strip().count("\n") == 0
