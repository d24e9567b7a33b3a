"""Controls: their training pixels, their test pixels, and scenes that they can solve or not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from snnquant.config import SplitConfig
from snnquant.pipeline import controls
from snnquant.pipeline.controls import score_controls, window_means
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.run import Run
from snnquant.report import RunMetrics
from snnquant.sampling import Split, make_split
from snnquant.scenes import Scene


def checkerboard(noise: float, bands: int = 6, side: int = 24) -> Scene:
    """Build fields of 3 x 3 pixels of two classes in turn, which differ in two bands."""
    draw = np.random.default_rng(0)
    rows, columns = np.indices((side, side)) // 3
    labels = (rows + columns) % 2 + 1
    cube = draw.normal(0, noise, (side, side, bands)).astype(np.float32)
    cube[..., 1] += labels
    cube[..., 4] -= labels
    return Scene.from_arrays(cube, labels)


def random_split(scene: Scene) -> Split:
    return make_split(scene, SplitConfig(train_fraction=0.3), 1, 0)


def test_spectra_tell_classes_apart_that_coordinates_cannot():
    scene = checkerboard(noise=0.05)
    held = np.arange(scene.labels.size)
    left = held % scene.width < 12
    split = Split(held[left], held[:0], held[~left], "half", 0)
    found = score_controls(scene, split, 1)
    for scores in (found.lda, found.svm):
        assert (scores.oa, scores.aa, scores.kappa) == (1, 1, 1)
    assert found.coordinates.oa == pytest.approx(0.5, abs=0.05)
    assert found.coordinates.kappa == pytest.approx(0, abs=0.1)


def test_coordinates_tell_fields_apart_that_spectra_cannot():
    scene = checkerboard(noise=1)
    draw = np.random.default_rng(1)
    labels = np.repeat([[1, 2]], 12, axis=1).repeat(24, axis=0)
    scene = Scene.from_arrays(draw.normal(0, 1, scene.cube.shape), labels)
    found = score_controls(scene, random_split(scene), 1)
    assert found.coordinates.oa > 0.9
    assert max(found.lda.oa, found.svm.oa) < 0.65


def test_controls_see_training_and_validation_spectra_and_the_very_test_pixels():
    scene, window = checkerboard(noise=1.5), 3
    split = random_split(scene)
    learn = np.sort(np.concatenate([split.train, split.val]))
    padded = np.pad(scene.cube, ((1, 1), (1, 1), (0, 0)), mode="reflect").astype(np.float64)

    def spectra(pixel: int) -> np.ndarray:
        row, column = divmod(int(pixel), scene.width)
        mean = padded[row : row + window, column : column + window].mean(axis=(0, 1))
        return np.concatenate([scene.cube[row, column], mean])

    labels = scene.labels.ravel()
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model.fit([spectra(pixel) for pixel in learn], labels[learn])
    expected = model.predict([spectra(pixel) for pixel in split.test]) == labels[split.test]
    assert 0.6 < expected.mean() < 1
    assert score_controls(scene, split, window).lda.oa == expected.mean()


def test_labels_of_pixels_outside_of_the_split_change_nothing():
    scene = checkerboard(noise=0.5)
    whole = random_split(scene)
    split = dataclasses.replace(whole, test=whole.test[::2])
    labels = scene.labels.copy()
    labels.ravel()[whole.test[1::2]] = 1
    other = dataclasses.replace(scene, labels=labels)
    assert score_controls(scene, split, 3) == score_controls(other, split, 3)
    labels = scene.labels.copy()
    labels.ravel()[split.test] = 3 - labels.ravel()[split.test]
    flipped = score_controls(dataclasses.replace(scene, labels=labels), split, 3)
    assert flipped.lda.oa == pytest.approx(1 - score_controls(scene, split, 3).lda.oa)
    assert flipped.svm.oa == pytest.approx(1 - score_controls(scene, split, 3).svm.oa)


@settings(max_examples=30)
@given(st.sampled_from([1, 3, 5]), st.integers(0, 99))
def test_window_means_equal_a_plain_loop(window, seed):
    cube = np.random.default_rng(seed).normal(1000, 50, (6, 7, 2)).astype(np.float32)
    margin = window // 2
    padded = np.pad(cube, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    expected = [
        padded[pixel // 7 : pixel // 7 + window, pixel % 7 : pixel % 7 + window]
        .astype(np.float64)
        .mean(axis=(0, 1))
        for pixel in range(42)
    ]
    assert np.allclose(window_means(cube, window, np.arange(42)), expected, rtol=1e-9)


def test_the_svm_learns_from_so_many_pixels_at_most(monkeypatch):
    scene = checkerboard(noise=0.3)
    split = random_split(scene)
    seen = []
    original = controls._svm

    def count(spectra, labels, test):
        seen.append(spectra)
        return original(spectra, labels, test)

    monkeypatch.setattr(controls, "_svm", count)
    monkeypatch.setattr(controls, "SVM_PIXELS", 40)
    first = score_controls(scene, split, 1)
    assert score_controls(scene, split, 1) == first
    score_controls(scene, dataclasses.replace(split, seed=7), 1)
    assert [len(spectra) for spectra in seen] == [40, 40, 40]
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


def test_a_training_side_of_one_class_and_constant_bands_are_no_obstacle():
    scene = checkerboard(noise=0.3)
    cube = scene.cube.copy()
    cube[..., 0] = 5
    flat = dataclasses.replace(scene, cube=cube)
    split = random_split(scene)
    assert score_controls(flat, split, 3).svm.oa > 0.6
    ones = split.train[scene.labels.ravel()[split.train] == 1]
    single = score_controls(flat, Split(ones, ones[:0], split.test, "one", 0), 3)
    share = (scene.labels.ravel()[split.test] == 1).mean()
    assert single.lda.oa == single.svm.oa == single.coordinates.oa == pytest.approx(share)


def test_a_run_keeps_its_controls(finished: tuple[Path, RunMetrics]):
    folder, metrics = finished
    stored = json.loads((folder / "metrics.json").read_text())["controls"]
    run = Run.open(folder)
    expected = score_controls(run.scene, run.split, run.config.model.window)
    assert metrics.controls == expected
    assert stored == dataclasses.asdict(expected)
    assert stored["coordinates"]["oa"] == metrics.split.coordinates_only_oa


def test_a_cnn_without_an_snn_has_controls_too(copied):
    run = copied()
    for name in ("cnn_quantized", "cnn_twin", "snn_converted", "snn"):
        (run.path / f"{name}.safetensors").unlink()
    metrics = evaluate(run)
    assert list(metrics.networks) == ["cnn_fp32"]
    assert metrics.controls is not None
