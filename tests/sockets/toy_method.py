"""A quantization method in one file: signed powers of two below each channel's largest weight."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from snnquant.errors import InputError
from snnquant.quantization import (
    About,
    LayerPlace,
    MethodConfig,
    Plan,
    PowersOfTwo,
    WeightQuantizer,
    register_method,
    straight_through,
)


@register_method("toy")
class Toy(MethodConfig):
    """Weights 0 and +-2^-k times the largest weight of their output channel."""

    bits: int = 3
    """Bits per weight: a sign and the exponents 0 to 2^(bits - 1) - 2."""
    rounding: Literal["nearest", "down"] = "nearest"
    """Rounding of the exponent."""
    about = About(source="docs/your_method.md", certainty="ours")

    def plan(self) -> Plan:
        """Return a quantizer for every weight; neurons stay in floating point."""
        return Plan(self._quantizer)

    def _quantizer(self, weight: Tensor, place: LayerPlace) -> WeightQuantizer:
        if place.kind == "conv1d":
            raise InputError(
                f"layer {place.name}: found a 1-D convolution, which toy does not quantize"
            )
        return NearestPower(self.bits, self.rounding)

    def require_channel_scales(self) -> None:
        """Accept: the levels follow the largest weight of a channel."""


class NearestPower(WeightQuantizer):
    """Weight on signed powers of two, with a straight-through gradient."""

    def __init__(self, bits: int, rounding: str) -> None:
        super().__init__(bits)
        self.rounding = rounding

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its levels."""
        quantized = self.encode(weight).decode()
        return straight_through(weight, quantized, torch.ones_like(weight, dtype=torch.bool))

    @torch.no_grad()
    def encode(self, weight: Tensor) -> PowersOfTwo:
        """Return signs and exponents below the largest weight of a channel."""
        largest = weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True)
        exponent = torch.log2(weight.abs() / largest)
        exponent = exponent.round() if self.rounding == "nearest" else exponent.floor()
        kept = exponent > 1 - 2 ** (self.bits - 1)
        exponent = torch.where(kept, exponent, 0).int()
        return PowersOfTwo(weight.sign().where(kept, 0), exponent, largest)

    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Accept: the levels follow the weight."""
