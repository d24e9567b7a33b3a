"""The method "multipoint": more points of few bits for the channels that need them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from snnquant.config.methods import About, MethodConfig, register_method


@register_method("multipoint")
class Multipoint(MethodConfig):
    """Weights as sums of points of b bits, with more points where a channel's output needs them.

    A channel of n points costs n times the operations of one.

    >>> from snnquant.quantization.methods.multipoint import Multipoint
    >>> Multipoint(bits=3).plan().trains
    False
    """

    bits: int = 4
    """Bits per point of a weight, 2 to 8."""
    points: int = 3
    """Largest number of points per output channel; 1 is uniform quantization."""
    epsilon: float = 0.01
    """Mean squared error of a channel's output on calibration pixels above which it gets another
    point, in units of that output squared; with a large one every channel has one point."""
    outer_bits: int = 8
    """Bits per point in the first and the last layer."""
    about = About(
        hooks=("quantizer", "pass"),
        cnn="weights",
        snn="weights",
        source="Liu et al. 2021 (arXiv 2002.09049)",
        certainty="abstract of the paper and notes of others; the search of the factors is ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.points <= 8, "points", "1 to 8")
        self.require(self.epsilon >= 0, "epsilon", "0 or more")
        self.require(2 <= self.outer_bits <= 8, "outer_bits", "2 to 8")

    def plan(self) -> Any:
        """Return the quantizers of every weight, and the pass that counts their points."""
        return import_module("snnquant.quantization.multipoint").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: every channel has scales of its own."""
