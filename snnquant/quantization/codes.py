"""Codes of quantized weights: what hardware stores, and how it decodes to the weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from snnquant.errors import InputError

INTEGER_ENGINE = "expected integer codes of 8 bits with a scale, as --quantization uniform has them"


@dataclass(frozen=True, eq=False)
class Uniform:
    """Integer codes on a uniform grid: ``(codes - zero_point) * scale``.

    >>> codes = Uniform(torch.tensor([[1, -3]]), torch.tensor([[0.5]]), torch.tensor([[0]]))
    >>> codes.decode()
    tensor([[ 0.5000, -1.5000]])
    """

    codes: Tensor
    """Whole numbers of the weight's shape."""
    scale: Tensor
    """Step per tensor [1, 1, ...] or per output channel [K, 1, ...]."""
    zero_point: Tensor
    """Code of 0, of the scale's shape."""

    def decode(self) -> Tensor:
        """Return the weight that the network computes with, bit for bit."""
        return (self.codes - self.zero_point) * self.scale

    def uniform(self) -> Uniform:
        """Return these codes."""
        return self


@dataclass(frozen=True, eq=False)
class PowersOfTwo:
    """Signs and exponents: ``sign * 2^exponent * scale``.

    >>> sign, exponent = torch.tensor([[1, 0, -1]]), torch.tensor([[0, 0, -3]])
    >>> PowersOfTwo(sign, exponent, torch.tensor([[0.5]])).uniform().codes
    tensor([[ 8,  0, -1]], dtype=torch.int8)
    """

    sign: Tensor
    """-1, 0 or 1, of the weight's shape."""
    exponent: Tensor
    """Whole exponents, of the weight's shape; those of zeros say nothing."""
    scale: Tensor
    """Scale per tensor [1, 1, ...] or per output channel [K, 1, ...]."""

    def decode(self) -> Tensor:
        """Return the weight that the network computes with, bit for bit."""
        return torch.ldexp(self.sign * self.scale, self.exponent)

    def uniform(self) -> Uniform:
        """Return multiples of the smallest power as int8 codes.

        Raises:
            InputError: The powers span more than int8 holds.
        """
        used = self.exponent[self.sign != 0]
        low, high = (int(used.min()), int(used.max())) if used.numel() else (0, 0)
        if high - low > 6:
            raise InputError(
                f"weights: found powers of two from 2^{low} to 2^{high} in a layer, "
                + INTEGER_ENGINE
            )
        lifted = (self.exponent - low).clamp(0, 6)
        scale = torch.ldexp(self.scale, torch.tensor(low))
        codes = (self.sign * 2**lifted).to(torch.int8)
        return Uniform(codes, scale, torch.zeros_like(scale, dtype=torch.int32))


@dataclass(frozen=True, eq=False)
class Terms:
    """Sum of weights on uniform grids.

    >>> one = Uniform(torch.tensor([[1, -3]]), torch.tensor([[0.5]]), torch.tensor([[0]]))
    >>> Terms((one, one)).decode()
    tensor([[ 1., -3.]])
    """

    terms: tuple[Uniform, ...]
    """The terms, at least one."""

    def decode(self) -> Tensor:
        """Return the weight that the network computes with, bit for bit."""
        total = self.terms[0].decode()
        for term in self.terms[1:]:
            total = total + term.decode()
        return total

    def uniform(self) -> Uniform:
        """Return the only term.

        Raises:
            InputError: There are several.
        """
        if len(self.terms) > 1:
            count = len(self.terms)
            raise InputError(f"weights: found sums of {count} terms, " + INTEGER_ENGINE)
        return self.terms[0]


@dataclass(frozen=True, eq=False)
class Logarithmic:
    """Signs and fractional exponents: ``sign * scale * 2^(-exponent / steps)``.

    >>> sign, exponent = torch.tensor([[1, 0, -1]]), torch.tensor([[8, 0, 0]])
    >>> Logarithmic(sign, exponent, torch.tensor([[3.0]]), steps=8).decode()
    tensor([[ 1.5000,  0.0000, -3.0000]])
    """

    sign: Tensor
    """-1, 0 or 1, of the weight's shape."""
    exponent: Tensor
    """Whole exponents from 0, of the weight's shape; those of zeros say nothing."""
    scale: Tensor
    """Largest size per tensor [1, 1, ...] or per output channel [K, 1, ...]."""
    steps: int
    """Exponents per factor 2."""

    def decode(self) -> Tensor:
        """Return the weight that the network computes with, bit for bit."""
        return self.sign * self.scale * torch.exp2(-self.exponent / self.steps)

    def uniform(self) -> Uniform:
        """Raise `InputError`: a logarithmic grid is no uniform one."""
        raise InputError("weights: found codes on a logarithmic grid, " + INTEGER_ENGINE)


Codes: TypeAlias = Uniform | PowersOfTwo | Terms | Logarithmic
"""Codes that a `WeightQuantizer` encodes a weight to."""
