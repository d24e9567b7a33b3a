"""The method "dorefa": weights bent by tanh, then rounded."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("dorefa")
class DoReFa(MethodConfig):
    """Weights 2 Q(tanh w / (2 max|tanh w|) + 1/2) - 1 on 2^b levels without 0.

    >>> DoReFa(bits=2).scale
    'range'
    """

    bits: int = 4
    """Bits per weight, 1 to 7."""
    min_bits: ClassVar[int] = 1
    scale: Literal["range", "unit"] = "range"
    """Range. unit: -1 to 1, as published; range: the layer's largest weight at the start, so that
    a trained layer keeps its function (ours)."""
    estimator: str = "ste"
    """Gradient of rounding: ste, clipped, cosine, tanh, ewgs, polynomial or a plugin's."""
    about: ClassVar[About] = About(
        source="Zhou et al. 2016 (arXiv 1606.06160)",
        certainty="formula read in a third party's text",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.bits != 8, "bits", "1 to 7, or 32")
        self.require_estimator("estimator")

    def plan(self) -> Any:
        """Return the quantizers of bent weights."""
        return import_module("snnquant.quantization.projections").dorefa(self)

    def require_channel_scales(self) -> None:
        """Accept: every output channel has a scale."""
