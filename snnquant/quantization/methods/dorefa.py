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
    """Bits per weight, 2 to 7; binary weights are those of bcgd."""
    scale: Literal["range", "unit"] = "range"
    """Ranges. unit: weights -1 to 1 and activations 0 to 1, as published; range: weights to a
    layer's largest one at the start (ours) and activations to a learnt ceiling (PACT), so that a
    trained layer keeps its function."""
    activation_bits: int = None  # type: ignore[assignment]
    """Bits of a CNN's activations, 1 to 8; 32 keeps floating point; by default those of weights."""
    estimator: str = "ste"
    """Gradient of rounding: ste, clipped, cosine, tanh, ewgs, polynomial or a plugin's."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "estimator"),
        cnn="weights and activations",
        source="Zhou et al. 2016 (arXiv 1606.06160); ceiling: Choi et al. 2018 (arXiv 1805.06085)",
        certainty="formula read in a third party's text",
    )

    def __post_init__(self) -> None:
        if self.activation_bits is None or self.bits == 32:
            # Filled in at once: a stored option always says all.
            object.__setattr__(self, "activation_bits", self.bits)
        super().__post_init__()
        self.require_activation_bits()
        self.require(self.bits != 8, "bits", "2 to 7, or 32")
        self.require_estimator("estimator")

    def plan(self) -> Any:
        """Return the quantizers of bent weights."""
        return import_module("snnquant.quantization.projections").dorefa(self)

    def require_channel_scales(self) -> None:
        """Accept: every output channel has a scale."""
