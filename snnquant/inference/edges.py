"""Edges of fields in a cube, and means of class probabilities that stay within them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
COMPONENTS = 3
"""Principal components that tell fields apart."""
CONTRAST = 0.3
"""Difference of two guides at which a neighbour's weight falls to exp(-1/2): in standard deviations
of the first component over the training pixels."""
_SIDE = float(np.exp(-0.5))  # weight of a neighbour beside 1 of the pixel itself, per direction


@dataclass(frozen=True, eq=False)
class Edges:
    """First principal components of the spectra, whose differences mark the edges of fields.

    >>> spectra = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
    >>> Edges.of(spectra)(spectra.reshape(20, 25, 6)).shape
    (20, 25, 3)
    """

    mean: NDArray[np.float64]
    """[B] of the training pixels."""
    axes: NDArray[np.float64]
    """[B, G] from bands to components; the first has variance 1 over the training pixels."""

    @classmethod
    def of(cls, spectra: NDArray[np.float32]) -> Self:
        """Fit the components to raw spectra [N, B] of training pixels, in standard scores."""
        values = spectra.astype(np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        deviation[deviation == 0] = 1
        scores = (values - mean) / deviation
        variances, axes = np.linalg.eigh(scores.T @ scores / len(values))
        first = np.sqrt(max(float(variances[-1]), np.finfo(float).tiny))
        return cls(mean, axes[:, ::-1][:, :COMPONENTS] / deviation[:, None] / first)

    def __call__(self, cube: NDArray[np.float32]) -> Floats:
        """Return the guide [H, W, G] of raw pixels [H, W, B]."""
        found: Floats = ((cube - self.mean) @ self.axes).astype(np.float32)
        return found


def reach_of_passes(passes: int) -> int:
    """Return how many pixels away a neighbour still counts.

    >>> [reach_of_passes(passes) for passes in (0, 1, 5)]
    [0, 1, 31]
    """
    return (1 << passes) - 1


def mean_within_edges(
    probabilities: Floats, valid: NDArray[np.bool_], guide: Floats, passes: int
) -> Floats:
    """Return means of the probabilities over neighbours that look alike.

    Every pass averages a pixel with its 8 neighbours at a distance of 1, 2, 4, ... pixels, weighted
    by a Gaussian of the distance and of the difference of their guides (the edge-avoiding wavelets
    "a trous" of Dammertz et al. 2010, High Performance Graphics). No label is looked at.

    Args:
        probabilities: [H, W, K].
        valid: [H, W] True where a pixel has data; only these have a part.
        guide: [H, W, G] of `Edges`.
        passes: Number of passes; a tile with a margin of `reach_of_passes` gives the values of the
            whole map.

    Returns:
        [H, W, K], zeros where a pixel has no data.
    """
    known = valid.astype(np.float32)[..., None]
    found = np.where(valid[..., None], probabilities, np.float32(0))
    guide = np.where(valid[..., None], guide, np.float32(0))
    for number in range(passes):
        sums, weights = found.copy(), np.ones_like(known)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                own = _overlap(down << number, right << number, valid.shape)
                if not (down or right) or own is None:
                    continue
                here, there = own
                squares = ((guide[here] - guide[there]) ** 2).sum(axis=2, keepdims=True)
                near = np.float32(_SIDE ** (down * down + right * right))
                weight = near * known[there] * np.exp(squares / np.float32(-2 * CONTRAST**2))
                sums[here] += weight * found[there]
                weights[here] += weight
        found = np.where(valid[..., None], sums / weights, np.float32(0))
    return found


_Part = tuple[slice, slice]


def _overlap(down: int, right: int, shape: tuple[int, ...]) -> tuple[_Part, _Part] | None:
    """Return the part of an image whose pixels have a neighbour, and these; None if none has."""
    if abs(down) >= shape[0] or abs(right) >= shape[1]:
        return None
    parts = [
        (slice(max(0, -by), size - max(0, by)), slice(max(0, by), size + min(0, by)))
        for by, size in zip((down, right), shape, strict=True)
    ]
    (rows, other_rows), (columns, other_columns) = parts
    return (rows, columns), (other_rows, other_columns)
