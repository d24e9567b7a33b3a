"""Quantization as parametrizations: modules that stand between a parameter and its users."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snnquant.config import QuantizationConfig
from snnquant.errors import InputError
from snnquant.quantization.estimators import fake_quantize, straight_through
from snnquant.quantization.grids import QUANTIZERS, Grid, least_squares_grid


class QuantizedWeight(nn.Module):
    """A weight on a uniform grid of ``bits`` bits.

    With ``clip="max"`` the grid is laid anew over the weight at every forward. With ``clip="mse"``
    it is sought once, here, and kept as the buffers ``scale`` and ``zero_point``.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, weight: Tensor, config: QuantizationConfig) -> None:
        super().__init__()
        self.config = config
        if config.clip == "mse":
            quantizer, per_channel = QUANTIZERS[config.scheme], config.granularity == "channel"
            grid = least_squares_grid(
                weight.detach(), quantizer, config.bits, per_channel=per_channel
            )
            self.register_buffer("scale", grid.scale)
            self.register_buffer("zero_point", grid.zero_point)

    @torch.no_grad()
    def grid(self, weight: Tensor) -> Grid:
        """The grid for this weight, [K, ...]."""
        config = self.config
        per_channel = config.granularity == "channel"
        grid = QUANTIZERS[config.scheme](weight, config.bits, per_channel=per_channel)
        if config.clip == "mse":
            return Grid(self.scale, self.zero_point, grid.low, grid.high)
        return grid

    def forward(self, weight: Tensor) -> Tensor:
        """The weight on its grid, same shape and dtype."""
        return fake_quantize(weight, self.grid(weight))

    @torch.no_grad()
    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Prepare for a weight whose output channels are multiplied by `factors` [K, 1, ...].

        Raises `InputError` where one scale serves a whole tensor.
        """
        if self.config.granularity != "channel":
            raise InputError("granularity: found tensor, expected channel: channels are rescaled")
        if self.config.clip == "mse":
            grid = self.grid(weight)
            turned = grid.low + grid.high - grid.zero_point
            self.zero_point.copy_(torch.where(factors < 0, turned, grid.zero_point))
            self.scale.mul_(factors.abs())

    def extra_repr(self) -> str:
        """The configuration, for ``print(model)``."""
        c = self.config
        return f"bits={c.bits}, {c.scheme}, per {c.granularity}, clip={c.clip!r}"


class FixedPointLeak(nn.Module):
    """A leak as an unsigned fraction of b bits: k / 2^b with k = 0 .. 2^b - 1, nearest.

    No leak at all (1.0) therefore becomes 1 - 2^-b. Straight-through inside [0, 1].
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, leak: Tensor) -> Tensor:
        """The leak in fixed point, a scalar."""
        levels = 2**self.bits
        with torch.no_grad():
            quantized = torch.round(leak * levels).clamp(0, levels - 1) / levels
        return straight_through(leak, quantized, (leak >= 0) & (leak <= 1))


class FixedPointThreshold(nn.Module):
    """A threshold as a whole number k of b bits and a binary point: k * 2^(e - b), nearest.

    e is the exponent of the threshold itself, 2^(e-1) <= V < 2^e, so that 2^(b-1) <= k <= 2^b, the
    error is at most V / 2^b and nothing is clipped. Straight-through everywhere.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, threshold: Tensor) -> Tensor:
        """The threshold in fixed point, a scalar."""
        with torch.no_grad():
            mantissa, exponent = torch.frexp(threshold)
            quantized = torch.ldexp(torch.round(mantissa * 2**self.bits), exponent - self.bits)
        return straight_through(threshold, quantized, torch.ones_like(threshold, dtype=torch.bool))
