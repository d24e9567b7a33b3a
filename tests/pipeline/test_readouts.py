"""Smoothing and confidence of a run: chosen once, kept, and used by every map."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snnquant.config import ConfidenceConfig, RunConfig
from snnquant.errors import InputError
from snnquant.pipeline import readouts
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import draw_map
from snnquant.report import RunMetrics
from snnquant.stored_networks import Network

NAMES = ("map", "map_smoothed", "map_confidence", "map_distance")


def with_options(run: Run, **options: object) -> Run:
    """Return a run that has taken other options of smoothing and confidence."""
    readouts.change_confidence(run, **options)
    return run


def test_scores_of_the_smoothed_map_are_those_of_its_file(
    finished: tuple[Path, RunMetrics],
) -> None:
    folder, metrics = finished
    run = Run.open(folder)
    truth = run.scene.labels.ravel()[run.split.test]
    scores = metrics.networks[Network.SNN_TRAINED]
    for name, score in (("map", scores.oa), ("map_smoothed", scores.smoothed.oa)):
        found = np.load(folder / f"{name}.npy").ravel()[run.split.test]
        assert (found == truth).mean() == pytest.approx(score, abs=2 / len(truth))


def test_every_network_is_calibrated_and_the_curve_ends_at_its_accuracy(
    finished: tuple[Path, RunMetrics],
) -> None:
    _, metrics = finished
    assert list(metrics.calibration) == list(Network)
    for network, entry in metrics.calibration.items():
        assert entry.selective[-1].coverage == 1
        assert entry.selective[-1].accuracy == metrics.networks[network].smoothed.oa
        assert entry.unknown is None
        assert 0.05 <= entry.temperature <= 20
        for error in (entry.ece, entry.ece_uncalibrated, entry.ece_smoothed):
            assert 0 <= error <= 1


def test_the_folder_has_every_map_and_the_choices(finished: tuple[Path, RunMetrics]) -> None:
    folder, metrics = finished
    for name in NAMES:
        assert np.load(folder / f"{name}.npy").shape == (24, 24)
        Image.open(folder / f"{name}.png").verify()
    assert not (folder / "map_known.npy").exists()
    kept = json.loads((folder / "confidence.json").read_text())
    assert {name: entry["sigma"] for name, entry in kept.items()} == {
        name: entry.sigma for name, entry in metrics.calibration.items()
    }


def test_no_smoothing_leaves_scores_and_map_as_they_are(copied: Callable[[], Run]) -> None:
    run = with_options(copied(), smoothing="0")
    metrics = evaluate(run)
    for network, scores in metrics.networks.items():
        assert scores.smoothed.oa == scores.oa
        assert scores.smoothed.kappa == scores.kappa
        calibration = metrics.calibration[network]
        assert calibration.ece_smoothed == pytest.approx(calibration.ece, abs=1e-6)
    draw_map(run)
    same = (np.load(run.path / f"{name}.npy") for name in NAMES[:2])
    np.testing.assert_array_equal(*same)


def test_a_given_strength_is_taken_and_stored(copied: Callable[[], Run]) -> None:
    run = with_options(copied(), smoothing="2.5", unknown_accuracy=None)
    metrics = evaluate(run)
    assert {entry.sigma for entry in metrics.calibration.values()} == {2.5}
    assert Run.open(run.path).config.confidence == ConfidenceConfig(smoothing="2.5")


def test_unknown_pixels_are_reported_and_0_in_a_map(copied: Callable[[], Run]) -> None:
    run = with_options(copied(), unknown_accuracy=0.9)
    metrics = evaluate(run)
    unknown = metrics.calibration[Network.SNN_TRAINED].unknown
    assert unknown is not None
    assert unknown.wanted_accuracy == 0.9
    assert RunMetrics.from_dict(json.loads(json.dumps(metrics.to_dict()))) == metrics
    draw_map(run)
    known, smoothed, confidence = (
        np.load(run.path / f"{name}.npy") for name in ("map_known", *NAMES[1:3])
    )
    np.testing.assert_array_equal(known, np.where(confidence >= unknown.below, smoothed, 0))


def test_a_map_chooses_where_the_folder_is_of_before(copied: Callable[[], Run]) -> None:
    run = copied()
    before = (run.path / "confidence.json").read_text()
    maps = {name: (run.path / f"{name}.npy").read_bytes() for name in NAMES}
    (run.path / "confidence.json").unlink()
    draw_map(run)
    kept = json.loads((run.path / "confidence.json").read_text())
    assert list(kept) == ["snn_trained"]
    assert kept["snn_trained"] == json.loads(before)["snn_trained"]
    assert maps == {name: (run.path / f"{name}.npy").read_bytes() for name in NAMES}


def test_a_map_takes_the_kept_choices_and_validation_is_not_run_again(
    copied: Callable[[], Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = copied()

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(readouts, "choose_readout", fail)
    np.save(tmp_path / "other.npy", run.scene.cube)
    draw_map(run, file=tmp_path / "other.npy")
    for name in NAMES:
        other = run.path / name.replace("map", "map_other", 1)
        assert Path(f"{other}.npy").read_bytes() == (run.path / f"{name}.npy").read_bytes()


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"snn": {}}', '{"snn_trained": 3}', '{"snn_trained": {"sigma": "a"}}']
)
def test_damaged_choices_are_named(copied: Callable[[], Run], text: str) -> None:
    run = copied()
    (run.path / "confidence.json").write_text(text)
    with pytest.raises(InputError, match=r"confidence\.json: damaged"):
        draw_map(run)


def test_validation_decides_and_test_labels_do_not(
    copied: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied()
    readout, smoothed = readouts.choose_readout(run, Network.SNN_TRAINED)
    labels = run.scene.labels.copy()
    labels.ravel()[run.split.test] = 1
    monkeypatch.setitem(vars(run), "scene", replace(run.scene, labels=labels))
    again, same = readouts.choose_readout(run, Network.SNN_TRAINED)
    assert readout == again
    assert (smoothed is None) == (same is None)


def test_the_integer_engine_has_all_maps_and_early_exit_says_that_it_has_not(
    copied: Callable[[], Run], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")
    run = copied()
    files = [run.path / f"{name}.npy" for name in NAMES]
    floats = [np.load(file) for file in files]
    for file in files:
        file.unlink()
    draw_map(run, engine="integer")
    assert (np.load(files[1]) == floats[1]).mean() > 0.9
    np.testing.assert_array_equal(np.load(files[3]), floats[3])
    for file in files:
        file.unlink()
    capsys.readouterr()
    draw_map(run, engine="integer", early_exit=True)
    assert [file.exists() for file in files] == [True, False, False, False]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "only the classes" in said


@pytest.mark.parametrize("smoothing", ["-1", "much", "nan", "21"])
def test_other_strengths_are_refused(smoothing: str) -> None:
    with pytest.raises(InputError, match=r"^--smoothing: found"):
        RunConfig(confidence=ConfidenceConfig(smoothing=smoothing))


@pytest.mark.parametrize("accuracy", [-0.1, 1.0])
def test_other_accuracies_are_refused(accuracy: float) -> None:
    with pytest.raises(InputError, match=r"^--unknown-accuracy: found"):
        ConfidenceConfig(unknown_accuracy=accuracy)
