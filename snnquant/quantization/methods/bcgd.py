"""The method "bcgd": blended coarse gradient descent."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("bcgd")
class BCGD(MethodConfig):
    """Binary, ternary or 4-bit weights, blended with their quantized values in every step.

    >>> BCGD(bits=2).blending
    1e-05
    """

    bits: int = 1
    """Bits per weight, 1 to 8; published are 1, 2 and 4, others follow the rule of 4."""
    min_bits: ClassVar[int] = 1
    blending: float = 1e-5
    """Share of the quantized weight that replaces the weight before a step, 0 to below 1."""
    granularity: Literal["tensor", "channel"] = "tensor"
    """Scales. tensor: one per layer, as published; channel: one per output channel."""
    weight_decay: float = 1e-4
    """Weight decay of the training: more of it shrinks the weights that blending holds."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "rule"),
        source="Yin, Zhang, Lyu, Osher, Qi, Xin 2019 (arXiv 1808.05240)",
        certainty="read in the authors' code; the ternary scale is that of least squares",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.blending < 1, "blending", "0 to below 1")
        self.require(self.weight_decay >= 0, "weight_decay", "0 or more")

    def plan(self) -> Any:
        """Return the projections and the blending."""
        return import_module("snnquant.quantization.projections").bcgd(self)

    def require_channel_scales(self) -> None:
        """Raise `InputError` where one scale serves a whole layer."""
        if self.granularity != "channel":
            super().require_channel_scales()
