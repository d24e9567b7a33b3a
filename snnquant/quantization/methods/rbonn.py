"""The method "rbonn": binary weights with a learnt scale and recurrent updates."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from snnquant.config import About, MethodConfig, register_method


@register_method("rbonn")
class RBONN(MethodConfig):
    """Recurrent bilinear optimisation: binary weights times a learnt scale per filter.

    A term of the loss holds each weight near its binary value. The filters of the smallest scales,
    which train slowest, get the last step's gradient again before a forward.

    >>> RBONN(share=0.0).bits
    1
    """

    bits: int = 1
    """Bits per weight between the first and the last layer: 1."""
    min_bits: ClassVar[int] = 1
    ends_bits: int = 8
    """Bits per weight in the first and the last layer, 2 to 8."""
    bilinear: float = 1e-4
    """Weight of half the squared distance between weights and their binary values."""
    share: float = 0.4
    """Share of a layer's filters, those of the smallest scales, that are updated again."""
    factor: float = 0.2
    """Start of the learnt factor of the gradient that they get again."""
    activation_bits: int = 1
    """Bits of a CNN's activations, 1 to 8; 32 keeps floating point."""
    weight_decay: float = 0.0
    """Weight decay of the training; the bilinear term holds the weights already."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "rule"),
        cnn="weights and activations",
        source="Xu et al., ECCV 2022 (arXiv 2209.01542)",
        certainty="authors' code, with ranks of scales and the gradient of the formula; one stage",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.bits == 1, "bits", "1")
        self.require(2 <= self.ends_bits <= 8, "ends_bits", "2 to 8")
        self.require(self.bilinear >= 0, "bilinear", "0 or more")
        self.require(0 <= self.share <= 1, "share", "0 to 1")
        self.require(self.factor >= 0, "factor", "0 or more")
        self.require(self.weight_decay >= 0, "weight_decay", "0 or more")
        self.require_activation_bits()

    def plan(self) -> Any:
        """Return binary quantizers of learnt scale and the recurrent rule."""
        return import_module("snnquant.quantization.recurrent_binary").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: a scale belongs to one output channel."""
