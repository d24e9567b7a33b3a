"""The estimator: scikit-learn's conventions, and the same network as a run of the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import snnquant
from snnquant import InputError, Scene, SpikingClassifier

SHORT: dict[str, Any] = {"window": 3, "cnn_epochs": 2, "snn_epochs": 2, "random_state": 3}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return snnquant.load_scene("synthetic:20x20x24")


@pytest.fixture(scope="module")
def fitted(scene: Scene) -> SpikingClassifier:
    return SpikingClassifier(**SHORT).fit(scene.cube, scene.labels)


def test_map_has_the_classes_of_the_labels_and_the_shape_of_the_cube(
    scene: Scene, fitted: SpikingClassifier
) -> None:
    class_map = fitted.predict(scene.cube[:9])
    assert class_map.shape == (9, 20)
    assert set(np.unique(class_map)) <= set(fitted.classes_)
    assert fitted.classes_.tolist() == list(range(1, scene.classes + 1))
    assert fitted.n_features_in_ == 24


def test_probabilities_add_up_and_their_maximum_is_the_map(
    scene: Scene, fitted: SpikingClassifier
) -> None:
    probabilities = fitted.predict_proba(scene.cube)
    assert probabilities.shape == (20, 20, scene.classes)
    np.testing.assert_allclose(probabilities.sum(2), 1, rtol=1e-5)
    best = fitted.classes_[probabilities.argmax(2)]
    np.testing.assert_array_equal(best, fitted.predict(scene.cube))


def test_score_counts_labelled_pixels_and_foreign_classes_as_errors(
    scene: Scene, fitted: SpikingClassifier
) -> None:
    class_map = fitted.predict(scene.cube)
    truth = class_map.copy()
    truth[:5] = 0
    assert fitted.score(scene.cube, truth) == 1
    truth[10:] = scene.classes + 7
    assert fitted.score(scene.cube, truth) == pytest.approx(5 / 15)
    labelled = scene.labels > 0
    share = (class_map[labelled] == scene.labels[labelled]).mean()
    assert fitted.score(scene) == pytest.approx(share)


def test_a_scene_and_its_arrays_train_the_same_network(
    scene: Scene, fitted: SpikingClassifier
) -> None:
    again = SpikingClassifier(**SHORT).fit(scene)
    np.testing.assert_array_equal(again.predict_proba(scene), fitted.predict_proba(scene.cube))


def test_labels_keep_their_own_numbers(scene: Scene, fitted: SpikingClassifier) -> None:
    numbers: NDArray[np.int32] = np.where(scene.labels > 0, 10 * scene.labels, 0).astype(np.int32)
    classifier = SpikingClassifier(**SHORT).fit(scene.cube, numbers)
    np.testing.assert_array_equal(classifier.predict(scene.cube), 10 * fitted.predict(scene.cube))


def test_run_folder_is_kept_and_resumed_and_refuses_other_parameters(
    scene: Scene, fitted: SpikingClassifier, tmp_path: Path
) -> None:
    kept = SpikingClassifier(**SHORT, run_folder=tmp_path / "run").fit(scene.cube, scene.labels)
    assert (tmp_path / "run" / "snn.safetensors").exists()
    before = (tmp_path / "run" / "snn.safetensors").stat().st_mtime_ns
    again = SpikingClassifier(**SHORT, run_folder=tmp_path / "run").fit(scene.cube, scene.labels)
    assert (tmp_path / "run" / "snn.safetensors").stat().st_mtime_ns == before
    for classifier in (kept, again):
        np.testing.assert_array_equal(classifier.predict(scene), fitted.predict(scene))
    other = SpikingClassifier(**SHORT | {"random_state": 4}, run_folder=tmp_path / "run")
    with pytest.raises(InputError, match=r"^run_folder: found a run of another scene or other"):
        other.fit(scene.cube, scene.labels)


def test_parameters_are_those_of_the_constructor_and_survive_a_clone() -> None:
    base = pytest.importorskip("sklearn.base")
    classifier = SpikingClassifier("cnn3d", bits=4, time_steps=2)
    copy = base.clone(classifier)
    assert copy is not classifier
    assert copy.get_params() == classifier.get_params()
    assert copy.get_params()["bits"] == 4
    assert classifier.set_params(bits=3) is classifier
    assert classifier.get_params()["bits"] == 3
    assert repr(classifier).startswith("SpikingClassifier(model='cnn3d', window=None")
    with pytest.raises(InputError, match=r"^set_params: found 'bitz', expected one of model, "):
        classifier.set_params(bits=2, bitz=3)
    assert classifier.bits == 3


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"bits": 1}, "--bits: found 1, expected 2 to 8, or 32"),
        ({"window": 4}, "--window: found 4, expected an odd number of pixels"),
        ({"model": "vgg"}, "--model: found 'vgg', expected "),
        ({"validation_fraction": 0}, "--validation-fraction: found 0, expected "),
    ],
)
def test_bad_parameters_are_refused_by_fit_in_a_line(
    parameters: dict[str, Any], line: str, scene: Scene
) -> None:
    with pytest.raises(InputError) as caught:
        SpikingClassifier(**parameters).fit(scene.cube, scene.labels)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda cube, labels: (cube[:, :, 0], labels), "cube"),
        (lambda cube, labels: (cube, labels[:5]), "labels"),
        (lambda cube, labels: (cube, None), "labels: found none beside an array, expected"),
        (lambda cube, labels: (cube, labels + 0.5), "labels: found"),
        (lambda cube, labels: (cube, labels - 1), "labels: found -1"),
        (lambda cube, labels: (cube, 0 * labels), "labels: found no labelled pixel"),
        (lambda cube, labels: (np.where(labels[..., None] > 1, np.nan, cube), labels), "no pixel"),
        (lambda cube, labels: (np.nan * cube, labels), "cube: found no pixel with data"),
    ],
)
def test_bad_arrays_are_refused_in_a_line(change: Any, line: str, scene: Scene) -> None:
    with pytest.raises(InputError) as caught:
        SpikingClassifier(**SHORT).fit(*change(scene.cube, scene.labels))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cubes_that_do_not_fit_are_refused(scene: Scene, fitted: SpikingClassifier) -> None:
    with pytest.raises(InputError, match="expected fit first"):
        SpikingClassifier().predict(scene.cube)
    with pytest.raises(InputError, match=r"^cube: found 23 bands, expected 24 as in fit"):
        fitted.predict(scene.cube[:, :, 1:])
    with pytest.raises(InputError, match="labels: found shape"):
        fitted.score(scene.cube, scene.labels[1:])
    with pytest.raises(InputError, match="found no labelled pixel"):
        fitted.score(scene.cube, 0 * scene.labels)


def test_door_is_lazy_and_every_name_opens() -> None:
    assert snnquant.__version__
    for name in snnquant.__all__:
        assert getattr(snnquant, name) is not None
    assert sorted(dir(snnquant)) == sorted(snnquant.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = snnquant.nothing  # type: ignore[attr-defined]
