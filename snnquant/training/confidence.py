"""Trust in class probabilities: temperature, calibration error, accuracy of the most certain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Floats = NDArray[np.floating]
BINS = 15
"""Bins of the calibration error, as in Guo et al. 2017."""
COVERAGES = tuple(tenth / 10 for tenth in range(1, 11))
"""Shares of the pixels, the most certain first, whose accuracy is reported."""
NEVER = 2.0
"""Threshold that no confidence reaches."""
_TEMPERATURES = (0.05, 20.0)


def fit_temperature(logits: Floats, classes: NDArray[np.integer]) -> float:
    """Return the temperature T that calibrates softmax(logits / T).

    It minimises the negative log-likelihood (Guo et al. 2017, "On calibration of modern neural
    networks", ICML).

    Args:
        logits: [N, K], of pixels that took no part in training.
        classes: True classes [N] from 0.

    Returns:
        T, 0.05 to 20; 1 where no pixel is wrong, so that nothing tells how certain is too certain.

    >>> fit_temperature(np.array([[2.0, 0.0]] * 4), np.array([0, 0, 0, 1]))  # 2 / ln 3
    1.82...
    """
    if (logits.argmax(1) == classes).all():
        return 1.0
    values, own = logits.astype(np.float64), np.arange(len(classes))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(values / np.exp(log_temperature), axis=1)
        return float(-scaled[own, classes].mean())

    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def calibration_error(confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS) -> float:
    """Return the expected calibration error, 0 to 1.

    It is the mean distance between accuracy and mean confidence over bins of equal width (lower end
    excluded), weighted by their pixels (Guo et al. 2017, equation 3).

    Args:
        confidence: Probability [N] of the predicted class, 0 to 1; N >= 1.
        correct: True [N] where the prediction is right.
        bins: Number of bins.

    >>> calibration_error(np.array([0.75, 0.75, 0.75, 0.75]), np.array([True, True, True, False]))
    0.0
    """
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    hits = np.bincount(number, correct, bins)
    return float(np.abs(hits - np.bincount(number, confidence, bins)).sum() / len(confidence))


def selective_accuracy(
    confidence: Floats, correct: NDArray[np.bool_], coverages: Sequence[float] = COVERAGES
) -> list[float]:
    """Return the accuracy, 0 to 1, of the most certain share of the pixels, per coverage.

    Args:
        confidence: Probability [N] of the predicted class; N >= 1.
        correct: True [N] where the prediction is right.
        coverages: Shares, above 0, at most 1.

    >>> selective_accuracy(np.array([0.9, 0.4]), np.array([True, False]), (0.5, 1.0))
    [1.0, 0.5]
    """
    hits = np.cumsum(correct[np.argsort(-confidence, kind="stable")])
    counts = [max(1, round(share * len(correct))) for share in coverages]
    return [float(hits[count - 1] / count) for count in counts]


def confidence_threshold(confidence: Floats, correct: NDArray[np.bool_], accuracy: float) -> float:
    """Return the lowest confidence from which on the pixels reach an accuracy; `NEVER` if none do.

    Args:
        confidence: Probability [N] of the predicted class.
        correct: True [N] where the prediction is right.
        accuracy: Wanted share of right predictions among the pixels of at least that confidence.

    >>> confidence_threshold(np.array([0.9, 0.8, 0.4]), np.array([True, True, False]), 0.95)
    0.8
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    reached = np.cumsum(correct[order]) >= accuracy * np.arange(1, len(order) + 1)
    last_of_equals = np.append(np.diff(sorted_confidence) != 0, True)[: len(order)]
    enough = np.flatnonzero(reached & last_of_equals)
    return float(sorted_confidence[enough[-1]]) if len(enough) else NEVER
