"""The method "norm_free_bnn": binary networks without batch norm, BNN - BN."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("norm_free_bnn")
class NormFreeBNN(MethodConfig):
    """Signs of standardised weights with a learnt gain, and clipped gradients, in place of norms.

    The weights of a filter have mean 0 and a learnt norm, so that a layer keeps the variance of
    what it is given. Activations of a CNN have one bit. An SNN trains without `--snn-batch-norm`.

    >>> NormFreeBNN().clipping
    0.02
    """

    bits: int = 1
    """Bits per weight between the first and the last layer, 1 to 8."""
    min_bits: ClassVar[int] = 1
    ends_bits: int = 8
    """Bits per weight in the first and the last layer, 2 to 8."""
    start: Literal["trained", "unit"] = "trained"
    """First norm of a filter. trained: that of its weight in floating point; unit: 1, as published
    for random weights."""
    clipping: float = 0.02
    """Max length of a filter's gradient, as a share of the filter's own length."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "rule"),
        cnn="weights, and activations by sign",
        snn="weights; spikes are signs already",
        source="Chen et al., CVPRW 2021 (arXiv 2104.08215)",
        certainty="read in the authors' code; the gain of signs, sqrt(pi/2), is ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.bits <= 8, "bits", "1 to 8")
        self.require(2 <= self.ends_bits <= 8, "ends_bits", "2 to 8")
        self.require(self.clipping > 0, "clipping", "above 0")

    def plan(self) -> Any:
        """Return standardised weights, binary activations and the clipping of gradients."""
        return import_module("snnquant.quantization.standardised").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: the gain belongs to one output channel."""
