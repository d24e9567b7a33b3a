"""The method "cgmq": bits per layer under a budget that holds at the end."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from snnquant.config import About, MethodConfig, register_method


@register_method("cgmq")
class CGMQ(MethodConfig):
    """Bits 2, 4 or 8 per layer by gates that gradients open and a budget closes.

    After every epoch within the budget gates open, the more the larger the gradients of a layer and
    the work that its bits add; after one above it they close, the less the larger both are.

    >>> CGMQ(budget=3).bits
    8
    """

    bits: int = 8
    """Max bits per weight: 2, 4 or 8."""
    budget: float = 4.0
    """Mean bits of weights over the bit operations of all layers, at least 2."""
    gate_rate: float = 0.3
    """Opening of the gate of the largest gradient after an epoch; 1 is a doubling of the bits."""
    activation_bits: int = 8
    """Bits of a CNN's activations, 1 to 8; 32 keeps floating point."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "rule"),
        cnn="weights and activations; only weights have gates",
        snn="weights; work by the spikes that arrive",
        source="Van Baelen, Karsmakers 2024 (arXiv 2409.20138)",
        certainty="abstract; gates by epoch, their directions, cap and weighing by cost are ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.bits in (2, 4, 8), "bits", "2, 4 or 8")
        self.require(self.budget >= 2, "budget", "at least 2, that of all layers at 2 bits")
        self.require(self.gate_rate > 0, "gate_rate", "above 0")
        self.require_activation_bits()

    def plan(self) -> Any:
        """Return quantizers of adjustable bits and the rule that gates them."""
        return import_module("snnquant.quantization.gated_bits").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: a scale belongs to one output channel."""
