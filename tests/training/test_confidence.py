"""Temperatures, calibration errors and selective accuracy against cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from snnquant.training.confidence import (
    COVERAGES,
    NEVER,
    calibration_error,
    confidence_threshold,
    fit_temperature,
    selective_accuracy,
)


def calibrated(pixels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits whose softmax is the true law of the classes, and classes drawn by it."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=2.0, size=(pixels, 5))
    law = softmax(logits, axis=1)
    classes = (draw.random((pixels, 1)) > np.cumsum(law, axis=1)).sum(1)
    return logits, np.minimum(classes, 4)


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_a_known_scale_is_found(scale: float) -> None:
    logits, classes = calibrated(20_000)
    assert fit_temperature(scale * logits, classes) == pytest.approx(scale, rel=0.03)


def test_no_error_and_no_pixel_leave_the_softmax_as_it_is() -> None:
    assert fit_temperature(np.eye(3), np.arange(3)) == 1
    assert fit_temperature(np.empty((0, 3)), np.empty(0, int)) == 1


def test_the_error_is_small_only_where_confidence_is_calibrated() -> None:
    logits, classes = calibrated(20_000)
    right = logits.argmax(1) == classes
    errors = [
        calibration_error(softmax(scale * logits, axis=1).max(1), right) for scale in (0.3, 1, 3)
    ]
    assert errors[1] < 0.02
    assert min(errors[0], errors[2]) > 0.1


def test_the_error_is_that_of_bins_summed_by_hand() -> None:
    draw = np.random.default_rng(1)
    confidence, right = draw.random(500), draw.random(500) < 0.5
    expected = 0.0
    for low in range(15):
        own = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if own.any():
            expected += own.mean() * abs(right[own].mean() - confidence[own].mean())
    assert calibration_error(confidence, right) == pytest.approx(expected)
    assert calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0


def test_the_most_certain_come_first_and_all_have_the_overall_accuracy() -> None:
    logits, classes = calibrated(5_000)
    right = logits.argmax(1) == classes
    curve = selective_accuracy(softmax(logits, axis=1).max(1), right)
    assert len(curve) == len(COVERAGES)
    assert curve[-1] == pytest.approx(right.mean())
    assert curve[0] > curve[4] > curve[-1]
    assert selective_accuracy(np.array([0.1, 0.9]), np.array([False, True]), (0.01,)) == [1.0]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=30),
    st.sampled_from([0.5, 0.8, 0.95]),
)
def test_the_threshold_is_the_lowest_that_reaches_the_accuracy(pixels, accuracy) -> None:
    confidence = np.array([c / 5 for c, _ in pixels], np.float32)
    right = np.array([r for _, r in pixels], bool)
    found = confidence_threshold(confidence, right, accuracy)
    reaching = [
        float(threshold)
        for threshold in np.unique(confidence)
        if right[confidence >= threshold].sum() >= accuracy * (confidence >= threshold).sum()
    ]
    assert found == min(reaching, default=NEVER)
