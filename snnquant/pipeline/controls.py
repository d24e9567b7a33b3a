"""Controls of a run: classifiers that need no network, on its training and its test pixels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.special import softmax

from snnquant.report.run_metrics import Controls, ControlScores
from snnquant.sampling import Split, nearest_labels
from snnquant.scenes import Scene
from snnquant.training import Scores, confusion

SVM_PIXELS = 10_000
"""Training pixels of the SVM; of more, so many are drawn by the seed of the split."""


def score_controls(scene: Scene, split: Split, window: int) -> Controls:
    """Score the controls on the test pixels of a split.

    coordinates: the label of the nearest training pixel. lda: linear discriminant analysis of the
    pixel's spectrum and the window's mean spectrum, with the shrinkage of Ledoit and Wolf. svm:
    support vector machine on the window's mean spectrum, in standard scores, with a Gaussian
    kernel, C = 100 and gamma = 1 / bands. Both learn from training and validation pixels, since
    they choose nothing; pixels without data are filled as the networks see them.

    Args:
        scene: The scene.
        split: Its training, validation and test pixels.
        window: Side of the window in pixels, odd.

    Returns:
        Scores of each control, the same for the same arguments.

    >>> from snnquant.config import SplitConfig
    >>> from snnquant.sampling import make_split
    >>> from snnquant.scenes import load_scene
    >>> scene = load_scene("synthetic:24x24x8")
    >>> controls = score_controls(scene, make_split(scene, SplitConfig(), 3, seed=0), 3)
    >>> controls.lda.oa > 0.8
    True
    """
    truth = scene.labels.ravel()[split.test]
    lda, svm = spectral_scores(scene, split, window, scene.cube, split.test, truth)
    coordinates = _scores(truth, nearest_labels(split, scene.labels), scene.classes)
    return Controls(coordinates, lda, svm)


def spectral_scores(
    scene: Scene,
    split: Split,
    window: int,
    cube: NDArray[np.float32],
    pixels: NDArray[np.int64],
    truth: NDArray[np.int64],
) -> tuple[ControlScores, ControlScores]:
    """Score the LDA and the SVM of `score_controls` on pixels of any cube.

    Args:
        scene: The scene that they learn from.
        split: Its training and validation pixels.
        window: Side of the window in pixels, odd.
        cube: Raw values [H, W, B] in the bands of the scene.
        pixels: [N] flat indices of pixels of the cube.
        truth: [N] their class numbers, from 1, as in the scene.

    Returns:
        Scores of the LDA and of the SVM.
    """
    learn = np.union1d(split.train, split.val)
    labels = scene.labels.ravel()[learn]
    own = window_means(scene.cube, window, learn)
    means = window_means(cube, window, pixels)
    own_both = np.hstack([scene.cube.reshape(-1, scene.bands)[learn], own])
    both = np.hstack([cube.reshape(-1, scene.bands)[pixels], means])
    few = np.arange(len(learn))
    if len(learn) > SVM_PIXELS:
        few = np.sort(np.random.default_rng(split.seed).permutation(few)[:SVM_PIXELS])
    predictions = _lda(own_both, labels, both), _svm(own[few], labels[few], means)
    lda, svm = (_scores(truth, found, scene.classes) for found in predictions)
    return lda, svm


def _scores(
    truth: NDArray[np.int64], predictions: NDArray[np.integer], classes: int
) -> ControlScores:
    found = Scores.from_confusion(confusion(truth - 1, predictions - 1, classes))
    return ControlScores(found.oa, found.aa, found.kappa)


def window_means(
    cube: NDArray[np.float32], window: int, pixels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the mean spectra [N, B] of windows around pixels, reflected at the scene's border.

    Args:
        cube: Raw values [H, W, B].
        window: Side of the window in pixels, odd.
        pixels: [N] flat indices.

    >>> cube = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
    >>> window_means(cube, 3, np.array([0, 4])).round(6).tolist()
    [[2.666667], [4.0]]
    """
    means = np.empty((len(pixels), cube.shape[2]))
    for band in range(cube.shape[2]):  # one at a time: a whole cube in float64 may not fit
        image = uniform_filter(cube[..., band], window, output=np.float64, mode="mirror")
        means[:, band] = image.ravel()[pixels]
    return means


def _lda(
    spectra: NDArray[np.float64], labels: NDArray[np.integer], test: NDArray[np.float64]
) -> NDArray[np.integer]:
    if (labels == labels[0]).all():
        return np.full(len(test), labels[0])
    found: NDArray[np.integer] = _fitted_lda(spectra, labels).predict(test)
    return found


def _fitted_lda(spectra: NDArray[np.float64], labels: NDArray[np.integer]) -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    with warnings.catch_warnings(action="ignore", category=UserWarning):  # classes of one pixel
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(spectra, labels)


def lda_probabilities(
    scene: Scene, learn: NDArray[np.int64], window: int, pixels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return class probabilities [N, K] of pixels by the LDA of `score_controls`.

    Args:
        scene: The scene.
        learn: [M] flat indices of the pixels that it learns from, of two classes or more.
        window: Side of the window in pixels, odd.
        pixels: [N] flat indices.
    """
    spectra = scene.cube.reshape(-1, scene.bands)
    own, wanted = (
        np.hstack([spectra[some], window_means(scene.cube, window, some)])
        for some in (learn, pixels)
    )
    model = _fitted_lda(own, scene.labels.ravel()[learn])
    found = np.zeros((len(pixels), scene.classes))
    found[:, model.classes_ - 1] = model.predict_proba(wanted)
    return found


def svm_probabilities(
    scene: Scene, learn: NDArray[np.int64], window: int, pixels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return soft labels [N, K] of pixels by the SVM of `score_controls`.

    They are the softmax of its decision values, one class against the rest, which have no scale: no
    pixel is held out to calibrate them.

    Args:
        scene: The scene.
        learn: [M] flat indices of the pixels that it learns from, of two classes or more.
        window: Side of the window in pixels, odd.
        pixels: [N] flat indices.
    """
    few = learn
    if len(learn) > SVM_PIXELS:
        few = np.sort(np.random.default_rng(0).permutation(learn)[:SVM_PIXELS])
    own, wanted = (window_means(scene.cube, window, some) for some in (few, pixels))
    model, scores = _fitted_svm(own, scene.labels.ravel()[few])
    values = model.decision_function(scores(wanted)).reshape(len(pixels), -1)
    if values.shape[1] == 1:  # of two classes, only the second has a decision value
        values = np.hstack([-values, values])
    found = np.zeros((len(pixels), scene.classes))
    found[:, model.classes_ - 1] = softmax(values, axis=1)
    return found


def _svm(
    spectra: NDArray[np.float64], labels: NDArray[np.integer], test: NDArray[np.float64]
) -> NDArray[np.integer]:
    if (labels == labels[0]).all():
        return np.full(len(test), labels[0])
    model, scores = _fitted_svm(spectra, labels)
    found: NDArray[np.integer] = model.predict(scores(test))
    return found


def _fitted_svm(
    spectra: NDArray[np.float64], labels: NDArray[np.integer]
) -> tuple[Any, Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """Return the model and the standard scores that it takes."""
    from sklearn.svm import SVC

    mean, std = spectra.mean(axis=0), spectra.std(axis=0)
    std[std == 0] = 1
    model = SVC(C=100, gamma="scale").fit((spectra - mean) / std, labels)
    return model, lambda values: (values - mean) / std
