"""Class probabilities of a map smoothed over neighbouring pixels, and confidence in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

Floats = NDArray[np.float32]
SIGMAS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
"""Strengths that `choose_sigma` tries, pixels."""
_TRUNCATE = 3.0  # of sigma; beyond it lies 0.3 % of a Gaussian


def reach(sigma: float) -> int:
    """Return how many pixels away a neighbour still counts.

    >>> reach(0), reach(2)
    (0, 6)
    """
    return int(_TRUNCATE * sigma + 0.5)


def smooth(probabilities: Floats, valid: NDArray[np.bool_], sigma: float) -> Floats:
    """Return the Gaussian mean of the probabilities of the neighbours that have data.

    What lies beyond the edges has no data either, so that a tile with a margin of `reach(sigma)`
    pixels gives the values of the whole map. No label is looked at.

    Args:
        probabilities: [H, W, K].
        valid: [H, W] True where a pixel has data.
        sigma: Standard deviation in pixels; 0 changes nothing.

    Returns:
        [H, W, K], zeros where a pixel has no data.

    >>> probabilities = np.full((3, 4, 2), 0.5, np.float32)
    >>> bool(np.allclose(smooth(probabilities, np.ones((3, 4), bool), 2), 0.5))
    True
    """
    known = valid[..., None]
    own = np.where(known, probabilities, np.float32(0))
    if sigma == 0:
        return own
    sums = gaussian_filter(own, (sigma, sigma, 0), mode="constant", truncate=_TRUNCATE)
    weight = gaussian_filter(valid.astype(np.float32), sigma, mode="constant", truncate=_TRUNCATE)[
        ..., None
    ]
    found: Floats = np.divide(sums, weight, out=np.zeros_like(sums), where=known)
    return found


def choose_sigma(
    probabilities: Floats,
    valid: NDArray[np.bool_],
    pixels: NDArray[np.int64],
    classes: NDArray[np.integer],
    *,
    apart: bool = False,
) -> float:
    """Return the strength in `SIGMAS` that is most accurate on pixels, the smallest of equals.

    Validation pixels amid training pixels are smoothed with neighbours that the network knows by
    heart. So there the smallest strength that is about as accurate as the best is taken: within one
    standard error of the difference, counted on the same pixels (the rule of Breiman et al. 1984,
    "Classification and regression trees"). Accuracy, because likelihood also falls where smoothing
    only makes probabilities less certain.

    Args:
        probabilities: [H, W, K].
        valid: [H, W] True where a pixel has data.
        pixels: Flat indices [N] of validation pixels; none choose 0.
        classes: Their true classes [N] from 0.
        apart: True for whole blocks of pixels, apart from training pixels.
    """

    def right(sigma: float) -> NDArray[np.int64]:
        smoothed = smooth(probabilities, valid, sigma).reshape(-1, probabilities.shape[2])
        hits: NDArray[np.int64] = (smoothed[pixels].argmax(1) == classes).astype(np.int64)
        return hits

    by_sigma = {sigma: right(sigma) for sigma in SIGMAS}
    best = max(by_sigma.values(), key=lambda hits: int(hits.sum()))

    def as_good(hits: NDArray[np.int64]) -> bool:
        lost = best - hits
        return bool(lost.sum() <= (0 if apart else np.sqrt((lost**2).sum())))

    return next(sigma for sigma, hits in by_sigma.items() if as_good(hits))


@dataclass(frozen=True)
class Readout:
    """Way from a network's logits to the classes and confidences of a map.

    >>> certain = Readout(temperature=0.5).smoothed(np.array([[[1.0, 0.0]]]), np.ones((1, 1), bool))
    >>> float(Readout().confidence(certain)[0, 0])  # softmax of 2 and 0
    0.88...
    """

    temperature: float = 1.0
    """Temperature of the softmax."""
    sigma: float = 0.0
    """Standard deviation of the smoothing Gaussian in pixels; 0 smooths nothing."""
    temperature_smoothed: float = 1.0
    """Temperature of the smoothed probabilities, which a mean makes less certain."""
    unknown_below: float | None = None
    """Confidence below which a pixel's class is unknown; None where all are known."""

    def smoothed(self, logits: NDArray[np.floating], valid: NDArray[np.bool_]) -> Floats:
        """Return smoothed probabilities [H, W, K] of logits, zeros where `valid` [H, W] is not."""
        probabilities = softmax(logits / self.temperature, axis=2).astype(np.float32)
        return smooth(probabilities, valid, self.sigma)

    def confidence(self, smoothed: Floats) -> Floats:
        """Return the calibrated probability [...] of the best class of [..., K]; 0 without data."""
        best = smoothed.max(axis=-1, keepdims=True)
        relative = np.divide(smoothed, best, out=np.zeros_like(smoothed), where=best > 0)
        total = (relative ** np.float32(1 / self.temperature_smoothed)).sum(axis=-1)
        found: Floats = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
        return found
