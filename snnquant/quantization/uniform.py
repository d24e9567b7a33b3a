"""The method "uniform": weights on uniform grids, neurons in fixed point."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from snnquant.config import QuantizationConfig
from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.estimators import ESTIMATORS, fake_quantize, straight_through
from snnquant.quantization.grids import QUANTIZERS, Grid, least_squares_grid
from snnquant.quantization.plan import LayerPlace, Plan, Quantizer, UniformQuantizer


def plan(config: QuantizationConfig) -> Plan:
    """Return the quantizers of weights and ReLUs, and of neurons with `neuron_bits`."""
    neuron: dict[str, Callable[[], Quantizer]] = {}
    if config.neuron_bits is not None:
        neuron["leak"] = partial(FixedPointLeak, config.neuron_bits)
        neuron["threshold"] = partial(FixedPointThreshold, config.neuron_bits)

    def activation(place: LayerPlace) -> QuantizedReLU:
        return QuantizedReLU(
            config.activation_bits, config.activation_quantizer, config.activation_estimator
        )

    return Plan(
        lambda weight, place: QuantizedWeight(weight, config),
        neuron,
        None if config.activation_bits == 32 else activation,
    )


class QuantizedWeight(UniformQuantizer):
    """Weight on a uniform grid of ``bits`` bits.

    With ``clip="max"`` every forward lays the grid over the weight anew. With ``clip="mse"`` the
    grid is searched once, here, and kept as the buffers ``scale`` and ``zero_point``.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, weight: Tensor, config: QuantizationConfig) -> None:
        super().__init__(config.bits)
        self.config = config
        self.estimator = ESTIMATORS.get(config.estimator)
        if config.clip == "mse":
            quantizer, per_channel = QUANTIZERS[config.scheme], config.granularity == "channel"
            grid = least_squares_grid(
                weight.detach(), quantizer, config.bits, per_channel=per_channel
            )
            self.register_buffer("scale", grid.scale)
            self.register_buffer("zero_point", grid.zero_point)

    @torch.no_grad()
    def grid(self, weight: Tensor) -> Grid:
        """Return the grid for this weight, [K, ...]."""
        config = self.config
        per_channel = config.granularity == "channel"
        grid = QUANTIZERS[config.scheme](weight, config.bits, per_channel=per_channel)
        if config.clip == "mse":
            return Grid(self.scale, self.zero_point, grid.low, grid.high)
        return grid

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its grid, same shape and dtype."""
        return fake_quantize(weight, self.grid(weight), self.estimator)

    @torch.no_grad()
    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Prepare for a weight whose output channels are multiplied by `factors` [K, 1, ...].

        The codes stay the same up to the sign. Raises `InputError` where one scale serves a layer.
        """
        self.config.require_channel_scales()
        if self.config.clip == "mse":
            grid = self.grid(weight)
            turned = grid.low + grid.high - grid.zero_point
            self.zero_point.copy_(torch.where(factors < 0, turned, grid.zero_point))
            self.scale.mul_(factors.abs())

    def extra_repr(self) -> str:
        """Return the configuration, for ``print(model)``."""
        c = self.config
        return f"bits={c.bits}, {c.scheme}, per {c.granularity}, clip={c.clip!r}, {c.estimator}"


class FixedPointLeak(Quantizer):
    """Leak as an unsigned fraction of b bits: k / 2^b with k = 0 .. 2^b - 1, nearest.

    No leak at all (1.0) therefore becomes 1 - 2^-b. Straight-through inside [0, 1].
    """

    def forward(self, leak: Tensor) -> Tensor:
        """Return the leak in fixed point, a scalar."""
        levels = 2**self.bits
        with torch.no_grad():
            quantized = torch.round(leak * levels).clamp(0, levels - 1) / levels
        return straight_through(leak, quantized, (leak >= 0) & (leak <= 1))


class FixedPointThreshold(Quantizer):
    """Threshold as a whole number k of b bits and a binary point: k * 2^(e - b), nearest.

    e is the exponent of the threshold itself, 2^(e-1) <= V < 2^e, so that 2^(b-1) <= k <= 2^b, the
    error is at most V / 2^b and nothing is clipped. Straight-through everywhere.
    """

    def forward(self, threshold: Tensor) -> Tensor:
        """Return the threshold in fixed point, a scalar."""
        with torch.no_grad():
            mantissa, exponent = torch.frexp(threshold)
            quantized = torch.ldexp(torch.round(mantissa * 2**self.bits), exponent - self.bits)
        return straight_through(threshold, quantized)
