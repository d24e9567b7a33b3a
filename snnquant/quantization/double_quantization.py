"""Weights whose channel scales are quantized too: whole numbers times one scale per layer.

    linear  s_k = m_k S,  S = max s / (2^b - 1),  m_k = 1 .. 2^b - 1
    log     s_k = 2^(-j_k d) max s,  d = 16 / (2^b - 1),  j_k = 0 .. 2^b - 1

The error of a linear scale is at most S / 2, relative to s_k max s / (2 (2^b - 1) s_k), wherever
s_k is at least S / 2; smaller ones are raised to S. That of a logarithmic one is at most
2^(d / 2) - 1, down to max s / 2^16.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.codes import PowersOfTwo
from snnquant.quantization.estimators import fake_quantize, straight_through
from snnquant.quantization.grids import Grid, quantize_symmetric
from snnquant.quantization.plan import LayerPlace, Plan, UniformQuantizer, WeightQuantizer
from snnquant.quantization.powers_of_two import nearest
from snnquant.quantization.quantized_norm import quantized_norm

OCTAVES = 16
"""Powers of two that the logarithmic grid of scales spans."""


def plan(config: Any) -> Plan:
    """Return the quantizers of weights by role, of batch norms and of ReLUs."""

    def weight(weight: Tensor, place: LayerPlace) -> WeightQuantizer:
        scales = config.scale_bits, config.scale_grid
        if place.role == "depthwise" and config.depthwise == "shift":
            return ScaledShiftWeight(config.depthwise_bits, *scales)
        bits = {
            "first": config.ends_bits,
            "last": config.ends_bits,
            "depthwise": config.depthwise_bits,
        }
        return DoubleQuantizedWeight(bits.get(place.role, config.bits), *scales)

    def norm(layer: nn.Module, place: LayerPlace) -> nn.Module:
        return quantized_norm(layer, place.name, config.norm_bits, config.norm_factor)

    return Plan(
        weight,
        activation=None
        if config.activation_bits == 32
        else lambda place: QuantizedReLU(config.activation_bits),
        norm=None if config.norm_bits == 32 else norm,
    )


@torch.no_grad()
def quantized_scales(scales: Tensor, bits: int, grid: str) -> Tensor:
    """Return positive scales on the grid of a layer.

    Args:
        scales: Scale per channel, [K, 1, ...], above 0.
        bits: Bits per scale; 32 returns them unchanged.
        grid: linear or log.

    >>> quantized_scales(torch.tensor([1.0, 0.1, 1e-9]), 3, "linear")
    tensor([1.0000, 0.1429, 0.1429])
    """
    if bits == 32:
        return scales
    top, codes = scales.amax(), 2**bits - 1
    if grid == "linear":
        step = (top / codes).clamp(min=torch.finfo(scales.dtype).tiny)
        multiples: Tensor = (scales / step).round().clamp(1, codes) * step
        return multiples
    distance = OCTAVES / codes
    places = (-(scales / top).log2() / distance).round().clamp(0, codes)
    found: Tensor = top * torch.exp2(-places * distance)
    return found


class DoubleQuantizedWeight(UniformQuantizer):
    """Weight on 2^b - 1 levels around 0 per output channel, whose scale is quantized as well.

    Args:
        bits: Bits per weight.
        scale_bits: Bits per scale; 32 keeps floating point.
        scale_grid: linear or log.

    >>> quantizer = DoubleQuantizedWeight(3, 8, "linear")
    >>> quantizer(torch.tensor([[3.0, 0.9], [0.33, 0.11]]))
    tensor([[3.0000, 1.0000],
            [0.3294, 0.1098]])
    """

    def __init__(self, bits: int, scale_bits: int, scale_grid: str) -> None:
        super().__init__(bits)
        self.scale_bits, self.scale_grid = scale_bits, scale_grid

    @torch.no_grad()
    def grid(self, weight: Tensor) -> Grid:
        """Return the grid for this weight, [K, ...]."""
        grid = quantize_symmetric(weight, self.bits, per_channel=True)
        scale = quantized_scales(grid.scale, self.scale_bits, self.scale_grid)
        return Grid(scale, grid.zero_point, grid.low, grid.high)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its grid, same shape and dtype."""
        return fake_quantize(weight, self.grid(weight))

    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Accept: scales follow the weight and are rounded anew, within the bound of their grid."""

    def extra_repr(self) -> str:
        """Return the options, for ``print(model)``."""
        return f"bits={self.bits}, scales of {self.scale_bits} bits, {self.scale_grid}"


class ScaledShiftWeight(WeightQuantizer):
    """Weight 0 or +-2^-t times its output channel's scale, t = 0 .. 2^(b - 2) - 1.

    The scale is the largest weight of the channel, quantized; levels are the nearest ones.

    Args:
        bits: Bits per weight.
        scale_bits: Bits per scale; 32 keeps floating point.
        scale_grid: linear or log.

    >>> ScaledShiftWeight(4, 32, "linear")(torch.tensor([[1.0, -0.3, 0.01]]))
    tensor([[ 1.0000, -0.2500,  0.0000]])
    """

    def __init__(self, bits: int, scale_bits: int, scale_grid: str) -> None:
        super().__init__(bits)
        self.scale_bits, self.scale_grid = scale_bits, scale_grid

    @torch.no_grad()
    def encode(self, weight: Tensor) -> PowersOfTwo:
        """Return signs, exponents and the scales."""
        largest = weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True)
        largest = largest.clamp(min=torch.finfo(weight.dtype).tiny)
        scale = quantized_scales(largest, self.scale_bits, self.scale_grid)
        sign, exponent, _ = nearest(weight / scale, torch.zeros_like(scale).int(), self.bits)
        return PowersOfTwo(sign, exponent, scale)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its levels, same shape and dtype."""
        return straight_through(weight, self.encode(weight).decode())

    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Accept: scales follow the weight and are rounded anew, within the bound of their grid."""

    def extra_repr(self) -> str:
        """Return the options, for ``print(model)``."""
        return f"bits={self.bits}, scales of {self.scale_bits} bits, {self.scale_grid}"
