"""The method "pruning_at_start": weights are removed before they are trained."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("pruning_at_start")
class PruningAtStart(MethodConfig):
    """Robust pruning at initialisation; what is left trains from scratch on a uniform grid.

    Stages that would train a network further start anew from random weights: give them the epochs
    that this needs, such as `--quantized-epochs 40`.

    >>> PruningAtStart(keep=0.1).rescale
    'rms'
    """

    bits: int = 6
    """Bits per weight that is left, 2 to 8, on a symmetric grid per output channel."""
    keep: float = 0.5
    """Share of all weights that is kept, above 0 to 1: those of the largest |w dL/dw|."""
    start: Literal["redraw", "given"] = "redraw"
    """Weights that are pruned: drawn anew by sigma_w and sigma_b, or those the network has."""
    sigma_w: float = 2**0.5
    """Deviation of drawn weights times the root of the fan-in: sqrt(2) for ReLU, 1 for tanh."""
    sigma_b: float = 0.0
    """Deviation of drawn biases."""
    rescale: Literal["rms", "variance", "none"] = "rms"
    """Size of pruned layers: outputs as large as before, weights of variance sigma_w, or as is."""
    learning_rate: float = 2e-3
    """Peak learning rate after redrawn weights; after given ones it is that of the run."""
    seed: int = 0
    """Seed of drawn weights."""
    about: ClassVar[About] = About(
        hooks=("pass", "quantizer"),
        cnn="weights",
        snn="weights; the edge of chaos is that of ReLU networks, not derived for spikes",
        source="Hayou et al., ICLR 2021 (arXiv 2002.08797); scores of SNIP (arXiv 1810.02340)",
        certainty="abstract; formulas recalled and checked numerically; rms is ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.bits <= 8, "bits", "2 to 8")
        self.require(0 < self.keep <= 1, "keep", "above 0 to 1")
        self.require(self.seed >= 0, "seed", "at least 0")
        self.require(self.sigma_w > 0, "sigma_w", "above 0")
        self.require(self.learning_rate > 0, "learning_rate", "above 0")
        self.require(self.sigma_b >= 0, "sigma_b", "at least 0")

    def plan(self) -> Any:
        """Return a pass that draws, prunes and rescales, and quantizers that keep zeros."""
        return import_module("snnquant.quantization.pruning_plans").pruning_at_start(self)

    def require_channel_scales(self) -> None:
        """Accept: a scale belongs to one output channel."""
