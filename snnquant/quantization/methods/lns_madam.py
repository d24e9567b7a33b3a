"""The method "lns_madam": logarithmic weights, trained by factors."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from snnquant.config import About, MethodConfig, register_method


@register_method("lns_madam")
class LNSMadam(MethodConfig):
    """Logarithmic weights and errors; training multiplies weights, which adds to exponents.

    >>> LNSMadam().update_bits
    16
    """

    bits: int = 8
    """Bits per weight, 2 to 8: a sign and an exponent."""
    error_bits: int = 8
    """Bits of the errors of the training, 2 to 8; 32 keeps floating point."""
    update_bits: int = 16
    """Bits of the weights that the training moves, from those of weights to 16."""
    learning_rate: float = 1 / 128
    """Peak rate: a gradient of root mean square size divides a weight by 2 to its power."""
    weight_decay: float = 0.0
    """Decay of weights: a step multiplies them by e^(-rate decay)."""
    other_rate: float = 2e-3
    """Peak rate of AdamW on biases, leaks and thresholds, which stay in floating point."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "error", "optimizer"),
        cnn="weights; in training also errors and stored weights",
        snn="weights; in training also errors and stored weights",
        source="Zhao et al., IEEE TC 2022 (arXiv 2106.13914)",
        certainty="read in the authors' code; the size of exponent 0 stays, which is ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        known = 2 <= self.error_bits <= 8 or self.error_bits == 32
        self.require(known, "error_bits", "2 to 8, or 32")
        lowest = 2 if self.bits == 32 else self.bits
        self.require(lowest <= self.update_bits <= 16, "update_bits", f"{lowest} to 16")
        self.require(self.learning_rate > 0, "learning_rate", "above 0")
        self.require(self.weight_decay >= 0, "weight_decay", "0 or more")
        self.require(self.other_rate > 0, "other_rate", "above 0")

    def plan(self) -> Any:
        """Return the quantizers of weights and errors, and Madam."""
        return import_module("snnquant.quantization.logarithmic").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: a scale per output channel follows any factor."""
