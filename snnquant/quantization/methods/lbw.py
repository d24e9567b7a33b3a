"""The method "lbw": weights on signed powers of two, LBW-Net."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("lbw")
class LBW(MethodConfig):
    """Weights 0 and +-2^k, 2^(b-1) + 1 levels in b bits: a multiplication becomes a shift.

    >>> LBW(bits=3).search
    'exact'
    """

    bits: int = 4
    """Bits per weight, 2 to 8; up to 4 the levels are multiples of the least and fit int8."""
    search: Literal["exact", "threshold"] = "exact"
    """Levels. exact: those of min squared error; threshold: the paper's rule, from 3 bits."""
    granularity: Literal["tensor", "channel"] = "tensor"
    """Powers. tensor: the largest one is per layer; channel: per output channel."""
    about: ClassVar[About] = About(
        source="Yin, Zhang, Qi, Xin 2018 (arXiv 1612.06052)",
        certainty="abstract read; the exact search is derived here, the threshold rule is recalled",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self.search == "exact" or self.bits > 2
        self.require(known, "search", "exact, or 3 bits or more")

    def plan(self) -> Any:
        """Return the quantizers of powers of two."""
        return import_module("snnquant.quantization.powers_of_two").plan(self)
