"""The method "filter_pruning": whole filters are removed before training under quantization."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("filter_pruning")
class FilterPruning(MethodConfig):
    """Provable filter pruning of a trained network; what is left is quantized uniformly.

    >>> FilterPruning(keep=0.3).kind
    'hybrid'
    """

    bits: int = 6
    """Bits per weight that is left, 2 to 8, on a symmetric grid per output channel."""
    keep: float = 0.5
    """Share of the network's weights that is kept, above 0 to 1."""
    kind: Literal["hybrid", "random", "deterministic"] = "hybrid"
    """Choice of filters: the likely ones and draws of others, only draws, or the largest."""
    points: int = 256
    """Training patches whose sensitivities count."""
    failure: float = 1e-16
    """Probability that an output breaks the error bound."""
    seed: int = 0
    """Seed of the draws."""
    about: ClassVar[About] = About(
        hooks=("pass", "quantizer"),
        cnn="weights; filters by the activations that they feed",
        snn="weights; filters by the mean spikes that they feed",
        source="Liebenwein et al., ICLR 2020 (arXiv 1911.07412)",
        certainty="authors' code; a kernel counts by its sum, which the bound needs",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.bits <= 8, "bits", "2 to 8")
        self.require(0 < self.keep <= 1, "keep", "above 0 to 1")
        self.require(self.seed >= 0, "seed", "at least 0")
        self.require(self.points >= 1, "points", "at least 1")
        self.require(0 < self.failure < 1, "failure", "above 0 and below 1")

    def plan(self) -> Any:
        """Return a pass that prunes and quantizers that keep zeros."""
        return import_module("snnquant.quantization.pruning_plans").filter_pruning(self)

    def require_channel_scales(self) -> None:
        """Accept: a scale belongs to one output channel."""
