"""Typed records of smoothing and confidence, one per network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SmoothedScores:
    """Scores of the smoothed map on the test pixels."""

    oa: float
    """Overall accuracy, 0 to 1."""
    aa: float
    """Average accuracy of the classes, 0 to 1."""
    kappa: float
    """Agreement beyond chance, at most 1."""


@dataclass(frozen=True)
class SelectivePoint:
    """Accuracy of the most certain test pixels of the smoothed map."""

    coverage: float
    """Share of the test pixels, the most certain first, above 0, at most 1."""
    accuracy: float
    """Their overall accuracy, 0 to 1."""


@dataclass(frozen=True)
class Unknown:
    """Pixels of the smoothed map that are left unknown, as measured on the test pixels."""

    wanted_accuracy: float
    """Accuracy asked for by `--unknown-accuracy`, reached on validation pixels, 0 to 1."""
    below: float
    """Confidence below which a pixel is unknown, 0 to 1; 2: no confidence reached the accuracy."""
    coverage: float
    """Share of the test pixels that are known, 0 to 1."""
    accuracy: float | None = None
    """Accuracy of the known test pixels, 0 to 1; left out where none is known."""


@dataclass(frozen=True)
class Calibration:
    """Smoothing and confidence of one network, chosen on validation pixels, measured on test."""

    temperature: float
    """Temperature of the softmax."""
    ece: float
    """Expected calibration error at that temperature, 0 to 1 (15 bins, Guo et al. 2017)."""
    ece_uncalibrated: float
    """The same at temperature 1."""
    ece_smoothed: float
    """The same of the smoothed probabilities."""
    sigma: float
    """Standard deviation of the smoothing Gaussian, pixels; 0: not smoothed."""
    temperature_smoothed: float
    """Temperature of the smoothed probabilities."""
    selective: tuple[SelectivePoint, ...]
    """Accuracy by coverage of the smoothed map."""
    unknown: Unknown | None = None
    """Unknown pixels; only with `--unknown-accuracy`."""
    edge_passes: int | None = None
    """Passes of the mean within edges, where that smooths in place of the Gaussian."""
