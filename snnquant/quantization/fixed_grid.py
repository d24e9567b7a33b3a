"""Weights on a uniform grid that stays as it was laid, for methods that change a network once."""

from __future__ import annotations

import torch
from torch import Tensor

from snnquant.quantization.estimators import fake_quantize
from snnquant.quantization.grids import Grid, least_squares_grid, quantize_symmetric
from snnquant.quantization.plan import UniformQuantizer


class StoredScaleWeight(UniformQuantizer):
    """Weight on 2^b - 1 levels around 0, whose scale is a buffer.

    Args:
        bits: Bits per weight.
        scale: Scale, [1, 1, ...] or [K, 1, ...].

    >>> StoredScaleWeight(3, torch.tensor([[0.25]]))(torch.tensor([[0.3, -0.9, 2.0]]))
    tensor([[ 0.2500, -0.7500,  0.7500]])
    """

    scale: Tensor

    def __init__(self, bits: int, scale: Tensor) -> None:
        super().__init__(bits)
        self.register_buffer("scale", scale)

    def grid(self, weight: Tensor) -> Grid:
        """Return the grid, whatever the weight."""
        high = 2 ** (self.bits - 1) - 1
        return Grid(self.scale, torch.zeros_like(self.scale), -high, high)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its grid, same shape and dtype."""
        return fake_quantize(weight, self.grid(weight))


class FixedGridWeight(StoredScaleWeight):
    """Weight on a grid that is laid over a first weight.

    Args:
        weight: Weight [K, ...], which the grid is laid over.
        bits: Bits per weight.
        clip: `max`: out to the largest weight; `mse`: the range of least squared error.
        per_channel: Scale per output channel, else one.
    """

    def __init__(self, weight: Tensor, bits: int, clip: str, *, per_channel: bool) -> None:
        lay = quantize_symmetric
        grid = (
            lay(weight.detach(), bits, per_channel=per_channel)
            if clip == "max"
            else least_squares_grid(weight.detach(), lay, bits, per_channel=per_channel)
        )
        super().__init__(bits, grid.scale)
        self.per_channel = per_channel

    @torch.no_grad()
    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Prepare for a weight whose output channels are multiplied by `factors` [K, 1, ...]."""
        if not self.per_channel:
            return super().scale_channels_(weight, factors)
        self.scale.mul_(factors.abs())
