"""Quantizers of a neuron's leak and threshold, shared by all methods."""

from __future__ import annotations

import torch
from torch import Tensor

from snnquant.quantization.estimators import straight_through
from snnquant.quantization.plan import Quantizer


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
