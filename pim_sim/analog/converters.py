"""Converters as functions on tensors: ranges, codes with straight-through gradients, digits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pim_sim.errors import InputError
from pim_sim.schema import refuse


@dataclass(frozen=True)
class Range:
    """The range of a converter: ``-limit .. limit``, or ``0 .. limit`` without signs."""

    limit: float
    signed: bool

    @classmethod
    def of(cls, values: Tensor, percentile: float, what: str) -> Range:
        """Return the range of a share ``percentile`` (in percent) of the values' magnitudes.

        Raises `InputError` for values that are not finite, or all zero up to that share.
        """
        magnitudes = values.detach().abs().flatten()
        if not magnitudes.numel() or not torch.isfinite(magnitudes).all():
            raise refuse(f"calibration: {what}", "none or not finite", "finite values")
        rank = max(1, math.ceil(percentile / 100 * len(magnitudes)))
        limit = magnitudes.kthvalue(rank).values.item()
        if limit <= 0:
            raise InputError(
                f"calibration: found only zeros in {percentile:g} % of the {what}, expected a "
                "signal to lay a range over"
            )
        return cls(limit, bool((values < 0).any()))

    def top(self, bits: int, what: str) -> int:
        """Return the largest code of ``bits`` bits; `InputError` where the sign takes all."""
        if self.signed and bits < 2:
            raise refuse(what, bits, "at least 2 bits for values of both signs")
        return int(2 ** (bits - self.signed)) - 1


def rounded(value: Tensor) -> Tensor:
    """Round to the nearest whole number, ties to even; the gradient passes straight through."""
    return value + (torch.round(value) - value).detach()


def digits(codes: Tensor, bits: int, bits_per_digit: int) -> list[Tensor]:
    """Return digits of base ``2^bits_per_digit`` of whole numbers, the least significant first.

    Every digit carries the number's sign: ``codes = sum_s digit_s * base^s``, for magnitudes below
    ``2^bits``. The gradient of that sum with respect to ``codes`` is 1 (it passes through the
    most significant digit).
    """
    base, count = 2**bits_per_digit, -(-bits // bits_per_digit)
    sign, rest = codes.detach().sign(), codes.detach().abs()
    found = []
    for _ in range(count):
        higher = torch.floor(rest / base)
        found.append(sign * (rest - higher * base))
        rest = higher
    found[-1] = found[-1] + (codes - codes.detach()) / base ** (count - 1)
    return found
