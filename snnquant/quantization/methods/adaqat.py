"""The method "adaqat": bits that descend by gradients while the network trains."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from snnquant.config import About, MethodConfig, register_method


@register_method("adaqat")
class AdaQAT(MethodConfig):
    """Bits per weight and per activation, one each for the network, found in training.

    Both are real numbers that fall by the gradient of `hardware` times the network's bit
    operations, over those at 8 bits, and rise where the loss with one bit less is larger.

    >>> AdaQAT(hardware=2.0).bits
    8
    """

    bits: int = 8
    """Bits per weight at the start, 2 to 8."""
    activation_bits: int = 8
    """Bits of a CNN's activations at the start, 1 to 8; 32 keeps floating point."""
    hardware: float = 1.0
    """Weight of the bit operations beside the loss, 0 or more."""
    bits_rate: float = 4.0
    """Learning rate of the bits; no step changes them by more than one."""
    interval: int = 10
    """Training steps between two steps of the bits."""
    swings: int = 10
    """Turns of the rounded bits after which they stay at the upper value."""
    moving_epochs: int = 3
    """Epochs in which bits may change; only later ones may be the result."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "rule"),
        cnn="weights and activations",
        snn="weights; spikes have one bit",
        source="Gernigon et al. 2024 (arXiv 2404.16876)",
        certainty="read in a third party's notes; levels, cost, rates and the end are ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.bits <= 8, "bits", "2 to 8")
        self.require_activation_bits()
        self.require(self.hardware >= 0, "hardware", "0 or more")
        self.require(self.bits_rate > 0, "bits_rate", "above 0")
        self.require(self.interval >= 1, "interval", "at least 1")
        self.require(self.swings >= 1, "swings", "at least 1")
        self.require(self.moving_epochs >= 1, "moving_epochs", "at least 1")

    def plan(self) -> Any:
        """Return quantizers of adjustable bits and the rule that moves them."""
        return import_module("snnquant.quantization.descending_bits").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: a scale belongs to one output channel."""
