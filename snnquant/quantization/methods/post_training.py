"""The method "post_training": a trained network is quantized as it is, without training."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

from snnquant.config.methods import About, MethodConfig, register_method


@register_method("post_training")
class PostTraining(MethodConfig):
    """Uniform weights after training: ranges, equalisation, corrected biases or learnt rounding.

    In the order of the white paper: equalise, lay the ranges, then correct the biases or learn the
    rounding; never both, since the rounding already takes the mean error away.

    >>> from snnquant.quantization.methods.post_training import PostTraining
    >>> PostTraining(bits=4, round="adaround", correct="none").plan().trains
    False
    """

    bits: int = 6
    """Bits per weight, 2 to 8: 2^b - 1 levels around 0."""
    granularity: Literal["channel", "tensor"] = "channel"
    """Scales. channel: one per output channel; tensor: one per layer."""
    ranges: Literal["minmax", "mse", "cross_entropy"] = "mse"
    """Ranges. minmax: to the largest weight; mse: of least squared error; cross_entropy: of the
    logits' layer by its cross-entropy with the logits in floating point, of others as mse."""
    equalise: bool = False
    """Equalise ranges across layers and absorb biases: a CNN with ReLUs only, most useful with one
    scale per layer. An SNN keeps its scales, since all channels of a layer share one threshold."""
    correct: Literal["none", "empirical", "analytic"] = "empirical"
    """Correct biases. empirical: by the mean inputs of calibration pixels; analytic: by those of
    rectified Gaussians, with the moments of a batch norm where the network still has one, else
    measured. Mean spikes of an SNN are always empirical."""
    round: Literal["nearest", "adaround"] = "nearest"
    """Rounding. adaround: up or down as keeps each layer's output closest."""
    iterations: int = 10_000
    """Steps per layer of adaround."""
    about = About(
        hooks=("quantizer", "pass"),
        cnn="weights",
        snn="weights; nothing is equalised",
        source="Nagel et al. 2021 (arXiv 2106.08295), 2019 (1906.04721), 2020 (2004.10568)",
        certainty="read in the authors' code; rounding on an SNN is ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.iterations > 0, "iterations", "at least 1")
        if self.round == "adaround":
            expected = "none beside --quantization.round adaround"
            self.require(self.correct == "none", "correct", expected)

    def plan(self) -> Any:
        """Return fixed grids for every weight, and the passes that the options name."""
        return import_module("snnquant.quantization.post_training").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: the SNN's batch norms are folded before anything is quantized."""
