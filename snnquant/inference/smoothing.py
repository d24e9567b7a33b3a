"""Class probabilities of a map smoothed over neighbouring pixels, and confidence in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from snnquant.inference.edges import mean_within_edges, reach_of_passes

Floats = NDArray[np.float32]
SIGMAS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
"""Gaussians that `choose_smoothing` tries, sigma in pixels."""
PASSES = (1, 2, 3, 4, 5, 6)
"""Passes of the mean within edges that `choose_smoothing` tries."""
_TRUNCATE = 3.0  # of sigma; beyond it lies 0.3 % of a Gaussian


class Strength(NamedTuple):
    """Kind and strength of smoothing; one of the two is 0.

    >>> Strength(2.0).reach, Strength(passes=5).reach
    (6, 31)
    """

    sigma: float = 0.0
    """Standard deviation of a Gaussian, pixels."""
    passes: int = 0
    """Passes of `mean_within_edges`."""

    @property
    def reach(self) -> int:
        """Pixels away at which a neighbour still counts."""
        return reach_of_passes(self.passes) + int(_TRUNCATE * self.sigma + 0.5)

    def smooth(self, probabilities: Floats, valid: NDArray[np.bool_], guide: Floats) -> Floats:
        """Return smoothed probabilities [H, W, K]; `guide` [H, W, G] is as of `Edges`."""
        if self.passes:
            return mean_within_edges(probabilities, valid, guide, self.passes)
        return smooth(probabilities, valid, self.sigma)


def smooth(probabilities: Floats, valid: NDArray[np.bool_], sigma: float) -> Floats:
    """Return the Gaussian mean of the probabilities of the neighbours that have data.

    What lies beyond the edges has no data either, so that a tile with a margin of `Strength.reach`
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


class Judged(NamedTuple):
    """Probabilities of a map and the pixels on which a smoothing is judged."""

    probabilities: Floats
    """[H, W, K]."""
    pixels: NDArray[np.int64]
    """Flat indices [N] of validation pixels."""
    classes: NDArray[np.integer]
    """Their true classes [N] from 0."""


def choose_smoothing(
    maps: Sequence[Judged], valid: NDArray[np.bool_], guide: Floats | None = None
) -> Strength:
    """Return the smallest strength that is about as accurate as the best on validation pixels.

    About as accurate means within one standard error of the difference (the rule of Breiman et al.
    1984, "Classification and regression trees"): over the pixels of one map, or over several maps,
    each of which counts as one observation, since the pixels of a field are right or wrong
    together. Accuracy, because likelihood also falls where smoothing only makes probabilities less
    certain.

    Args:
        maps: Maps of one scene; none choose no smoothing.
        valid: [H, W] True where a pixel has data.
        guide: [H, W, G] of `Edges` where whole blocks of pixels, apart from training pixels, are
            judged: means within edges are tried. Without it, Gaussians are.
    """
    counted = [judged for judged in maps if len(judged.pixels)]
    if not counted:
        return Strength()
    tried = [Strength(sigma) for sigma in SIGMAS]
    seen: Floats = np.zeros((*valid.shape, 1), np.float32)
    if guide is not None:
        tried, seen = [Strength(), *(Strength(passes=passes) for passes in PASSES)], guide

    def right(strength: Strength) -> NDArray[np.float64]:
        hits = []
        for probabilities, pixels, classes in counted:
            smoothed = strength.smooth(probabilities, valid, seen)
            found = smoothed.reshape(-1, probabilities.shape[2])[pixels].argmax(1)
            hits.append((found == classes).astype(np.float64))
        return hits[0] if len(hits) == 1 else np.array([own.mean() for own in hits])

    by_strength = {strength: right(strength) for strength in tried}
    best = max(by_strength.values(), key=lambda hits: float(hits.sum()))

    def as_good(hits: NDArray[np.float64]) -> bool:
        lost = best - hits
        if len(counted) == 1:
            return bool(lost.sum() <= np.sqrt((lost**2).sum()))
        return bool(lost.mean() <= lost.std(ddof=1) / np.sqrt(len(lost)))

    return next(strength for strength, hits in by_strength.items() if as_good(hits))


@dataclass(frozen=True)
class Readout:
    """Way from a network's logits to the classes and confidences of a map.

    >>> logits, valid = np.array([[[1.0, 0.0]]]), np.ones((1, 1), bool)
    >>> certain = Readout(temperature=0.5).smoothed(logits, valid, np.zeros((1, 1, 3), np.float32))
    >>> float(Readout().confidence(certain)[0, 0])  # softmax of 2 and 0
    0.88...
    """

    temperature: float = 1.0
    """Temperature of the softmax."""
    sigma: float = 0.0
    """Standard deviation of the smoothing Gaussian in pixels; 0: none."""
    temperature_smoothed: float = 1.0
    """Temperature of the smoothed probabilities, which a mean makes less certain."""
    unknown_below: float | None = None
    """Confidence below which a pixel's class is unknown; None where all are known."""
    edge_passes: int | None = None
    """Passes of the mean within edges in place of the Gaussian."""

    @property
    def strength(self) -> Strength:
        """Kind and strength of the smoothing."""
        return Strength(self.sigma, self.edge_passes or 0)

    @property
    def smooths(self) -> bool:
        """True where anything is smoothed."""
        return self.strength != Strength()

    def smoothed(
        self, logits: NDArray[np.floating], valid: NDArray[np.bool_], guide: Floats
    ) -> Floats:
        """Return smoothed probabilities [H, W, K] of logits, zeros where `valid` [H, W] is not.

        `guide` [H, W, G] is as of `Edges`.
        """
        probabilities = softmax(logits / self.temperature, axis=2).astype(np.float32)
        return self.strength.smooth(probabilities, valid, guide)

    def confidence(self, smoothed: Floats) -> Floats:
        """Return the calibrated probability [...] of the best class of [..., K]; 0 without data."""
        best = smoothed.max(axis=-1, keepdims=True)
        relative = np.divide(smoothed, best, out=np.zeros_like(smoothed), where=best > 0)
        total = (relative ** np.float32(1 / self.temperature_smoothed)).sum(axis=-1)
        found: Floats = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
        return found
