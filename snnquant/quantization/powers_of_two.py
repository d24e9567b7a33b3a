"""Weights on signed powers of two, after LBW-Net: multiplications become shifts.

    levels  2^s * {0, +-2^(1-n), ..., +-1/2, +-1}      n = 2^(b-2) for b bits

A layer's (or channel's) s and exponents minimise the squared error, or follow the paper's threshold
rule, which needs the largest weight only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snnquant.quantization.codes import PowersOfTwo
from snnquant.quantization.estimators import straight_through
from snnquant.quantization.plan import Plan, WeightQuantizer

MIN_SHIFT, MAX_SHIFT = -60, 60
"""Bounds of s, far beyond any trained weight: levels stay normal numbers of float32."""


def plan(config: Any) -> Plan:
    """Return the quantizers of every weight."""
    return Plan(lambda weight, place: ShiftWeight(config.bits, config.search, config.granularity))


class ShiftWeight(WeightQuantizer):
    """Weight on signed powers of two, with the plain straight-through gradient.

    Args:
        bits: Bits per weight, 2 to 8.
        search: Key of `SEARCHES`.
        granularity: channel or tensor, what shares an s.

    >>> quantizer = ShiftWeight(3, "exact", "tensor")
    >>> quantizer.encode(torch.tensor([[0.9, -0.3, 0.05]])).uniform().codes
    tensor([[ 2, -1,  0]], dtype=torch.int8)
    """

    def __init__(self, bits: int, search: str, granularity: str) -> None:
        super().__init__(bits)
        self.search, self.granularity = search, granularity

    @torch.no_grad()
    def powers(self, weight: Tensor) -> Powers:
        """Return sign and exponents of a weight [K, ...]."""
        return SEARCHES[self.search](weight, self.bits, per_channel=self.granularity == "channel")

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its levels, same shape and dtype."""
        quantized = self.powers(weight).values(weight.dtype)
        return straight_through(weight, quantized)

    def encode(self, weight: Tensor) -> PowersOfTwo:
        """Return signs, exponents and the scale 2^s."""
        sign, exponent, shift = self.powers(weight)
        return PowersOfTwo(
            sign, exponent, torch.ldexp(torch.ones_like(shift, dtype=weight.dtype), shift)
        )

    def extra_repr(self) -> str:
        """Return the options, for ``print(model)``."""
        return f"bits={self.bits}, {self.search}, per {self.granularity}"


class Powers(NamedTuple):
    """Weights ``sign * 2^exponent * 2^shift``."""

    sign: Tensor
    """-1, 0 or 1, int8, [K, ...]."""
    exponent: Tensor
    """1 - n to 0, int8, [K, ...]; 0 where the sign is."""
    shift: Tensor
    """s, int32, [1, 1, ...] or [K, 1, ...]."""

    def values(self, dtype: torch.dtype) -> Tensor:
        """Return the weights [K, ...]."""
        return torch.ldexp(self.sign.to(dtype), self.exponent + self.shift)


def exact(weight: Tensor, bits: int, *, per_channel: bool) -> Powers:
    """Return the powers of two of min squared error.

    For a given s the error is a sum over weights, so that rounding each to its nearest level is
    best. An optimal s lies between 2/3 of the mean and 4/3 of the max of |w|: below, the vertex of
    the error's parabola in 2^s lies higher; above, the top level serves no weight. Each s between
    is tried.

    Args:
        weight: Weight [K, ...].
        bits: Bits per weight, 2 to 8.
        per_channel: One s per output channel, else one for the tensor.

    >>> exact(torch.tensor([[0.9, -0.3, 0.05]]), 3, per_channel=False).values(torch.float32)
    tensor([[ 1.0000, -0.5000,  0.0000]])
    """
    size, axes = weight.abs(), tuple(range(int(per_channel), weight.ndim))
    lowest = _shift(size.mean(axes, keepdim=True) / 2)  # log2(2/3 mean) rounded up
    top = _shift(size.amax(axes, keepdim=True))
    best, least = top, torch.full_like(top, torch.inf, dtype=torch.float64)
    for down in range(int((top - lowest).max()) + 1):
        shift = top - down
        rounded = nearest(weight, shift, bits).values(weight.dtype)
        error = (rounded - weight).double().square().sum(axes, keepdim=True)
        best = torch.where(error < least, shift, best)
        least = torch.minimum(error, least)
    return nearest(weight, best, bits)


def threshold(weight: Tensor, bits: int, *, per_channel: bool) -> Powers:
    """Return the powers of two by the paper's rule, as recalled: one free parameter, mu.

    With mu = 3/4 max|w|, Q = 2^-t where 2^-t mu <= |w| < 2^(1-t) mu for t = 0 .. n - 1, open above
    for t = 0, else 0; then s = floor(log2(4 sum |w|Q / (3 sum Q^2))).

    Args:
        weight: Weight [K, ...].
        bits: Bits per weight, 2 to 8.
        per_channel: One s per output channel, else one for the tensor.

    >>> threshold(torch.tensor([[0.9, -0.3, 0.05]]), 3, per_channel=False).values(torch.float32)
    tensor([[1., 0., 0.]])
    """
    size, axes = weight.abs(), tuple(range(int(per_channel), weight.ndim))
    mu = 0.75 * size.amax(axes, keepdim=True)
    exponent = _floor_log2(size / mu).clamp(max=0)
    kept = (size > 0) & (exponent > -levels_per_sign(bits))
    found = _powers(weight, exponent, kept, torch.zeros_like(mu, dtype=torch.int32))
    q = found.values(torch.float64).abs()
    projected = (size * q).sum(axes, keepdim=True) / q.square().sum(axes, keepdim=True).clamp(min=1)
    return found._replace(shift=_shift(projected))


SEARCHES: dict[str, Callable[..., Powers]] = {"exact": exact, "threshold": threshold}
"""Choices of the levels by name: (weight, bits, per_channel) -> Powers."""


def levels_per_sign(bits: int) -> int:
    """Return n, how many powers of two b bits hold per sign."""
    return 1 << (bits - 2)


def nearest(weight: Tensor, shift: Tensor, bits: int) -> Powers:
    """Round to the nearest level at given shifts.

    Args:
        weight: Weight [K, ...].
        shift: s, int32, [1, 1, ...] or [K, 1, ...].
        bits: Bits per weight, at least 2.

    >>> nearest(torch.tensor([[1.0, -0.3, 0.01]]), torch.tensor([[0]]), 4).values(torch.float32)
    tensor([[ 1.0000, -0.2500,  0.0000]])
    """
    size = torch.ldexp(weight.abs(), -shift)
    smallest = 1 - levels_per_sign(bits)
    exponent = nearest_exponent(size).clamp(smallest, 0)
    return _powers(weight, exponent, size >= 2.0 ** (smallest - 1), shift)


def _powers(weight: Tensor, exponent: Tensor, kept: Tensor, shift: Tensor) -> Powers:
    sign = torch.where(kept, weight.sign(), 0).to(torch.int8)
    return Powers(sign, torch.where(kept, exponent, 0).to(torch.int8), shift)


def _shift(size: Tensor) -> Tensor:
    """Return floor(log2(4/3 size)), the power of two nearest to a size, within its bounds."""
    return nearest_exponent(size).clamp(MIN_SHIFT, MAX_SHIFT)


def nearest_exponent(size: Tensor) -> Tensor:
    """Return the exponents, int32, of the powers of two nearest to sizes above 0.

    >>> nearest_exponent(torch.tensor([0.7, 0.8, 3.1]))
    tensor([-1,  0,  2], dtype=torch.int32)
    """
    # Halfway between two powers is 3/4 of the larger one.
    return _floor_log2(size / 0.75)


def _floor_log2(size: Tensor) -> Tensor:
    exponent: Tensor = torch.frexp(size).exponent
    return exponent - 1
