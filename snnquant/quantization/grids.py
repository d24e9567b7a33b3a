"""Uniform quantizers as pure functions: a `Grid` of levels and the grid of a weight.

    code  = clamp(round(w / scale) + zero_point, low, high)      (ties to even)
    value = (code - zero_point) * scale

Zero always maps to zero exactly, so that a silent input or a pruned weight stays silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SHRINK_STEPS = 100
"""Ranges that the least-squares search tries, from 1 / SHRINK_STEPS of the full range up."""


@dataclass(frozen=True)
class Grid:
    """Levels of a weight: ``(code - zero_point) * scale`` for low <= code <= high.

    ``scale`` and ``zero_point`` broadcast against the weight: [1, 1, ...] for one per
    tensor, [K, 1, ...] for one per output channel. The zero point is a whole number in the scale's
    dtype.
    """

    scale: Tensor
    zero_point: Tensor
    low: int
    high: int

    def codes(self, weight: Tensor) -> Tensor:
        """Return the code of every weight, as whole numbers in the weight's dtype and shape."""
        return self.unclipped_codes(weight).clamp_(self.low, self.high)

    def unclipped_codes(self, weight: Tensor) -> Tensor:
        """Return the codes before those outside low..high are clipped."""
        return (weight / self.scale).round_().add_(self.zero_point)

    def values(self, codes: Tensor) -> Tensor:
        """Return the levels of codes."""
        return (codes - self.zero_point).mul_(self.scale)


def quantize_symmetric(weight: Tensor, bits: int, *, per_channel: bool, shrink: float = 1) -> Grid:
    """Return 2^b - 1 levels around 0, out to ``shrink`` times the largest weight."""
    high = 2 ** (bits - 1) - 1
    scale = _positive(_reduce(weight.abs(), torch.amax, per_channel) * shrink / high)
    return Grid(scale, torch.zeros_like(scale), -high, high)


def quantize_affine(weight: Tensor, bits: int, *, per_channel: bool, shrink: float = 1) -> Grid:
    """Return 2^b levels between ``shrink`` times the min and max weight, 0 among them."""
    high = 2**bits - 1
    least = _reduce(weight, torch.amin, per_channel).clamp_(max=0) * shrink
    largest = _reduce(weight, torch.amax, per_channel).clamp_(min=0) * shrink
    scale = _positive((largest - least) / high)
    return Grid(scale, torch.round(least.abs() / scale), 0, high)


Quantizer = Callable[..., Grid]
QUANTIZERS: dict[str, Quantizer] = {"symmetric": quantize_symmetric, "affine": quantize_affine}
"""Quantizers by the name of the scheme: (weight, bits, per_channel, shrink) -> Grid."""


def least_squares_grid(
    weight: Tensor, quantizer: Quantizer, bits: int, *, per_channel: bool
) -> Grid:
    """Return the grid of min squared error among shrunken ranges, searched per channel."""
    best = quantizer(weight, bits, per_channel=per_channel)
    least_error = _squared_error(weight, best, per_channel)
    for step in range(1, SHRINK_STEPS):
        shrink = step / SHRINK_STEPS
        grid = quantizer(weight, bits, per_channel=per_channel, shrink=shrink)
        error = _squared_error(weight, grid, per_channel)
        better = error < least_error
        least_error = torch.where(better, error, least_error)
        scale = torch.where(better, grid.scale, best.scale)
        best = Grid(
            scale, torch.where(better, grid.zero_point, best.zero_point), best.low, best.high
        )
    return best


def _squared_error(weight: Tensor, grid: Grid, per_channel: bool) -> Tensor:
    error = (grid.values(grid.codes(weight)) - weight).square()
    return _reduce(error, torch.sum, per_channel)


def _reduce(weight: Tensor, reduction: Callable[..., Tensor], per_channel: bool) -> Tensor:
    """Reduce to [K, 1, ...], one value per output channel (axis 0), or to [1, 1, ...]."""
    return reduction(weight, dim=tuple(range(int(per_channel), weight.ndim)), keepdim=True)


def _positive(scale: Tensor) -> Tensor:
    """Return positive scales: a channel of zeros has no range, and any scale serves it."""
    return scale.clamp_(min=torch.finfo(scale.dtype).tiny)
