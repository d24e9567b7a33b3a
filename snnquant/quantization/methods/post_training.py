"""The method "post_training": a trained network is quantized as it is, without training."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

from snnquant.config.methods import ACTIVATION_BITS, About, MethodConfig, register_method


@register_method("post_training")
class PostTraining(MethodConfig):
    """Uniform weights after training: ranges, equalisation, corrected biases or learnt rounding.

    In the order of the white paper: equalise, lay the ranges of weights, correct the biases or
    learn the rounding, lay the ranges of activations. Never both in the middle: learnt rounding
    already takes the mean error away.

    >>> from snnquant.quantization.methods import PostTraining
    >>> PostTraining().correct, PostTraining(round="adaround").correct
    ('matched', 'none')
    """

    bits: int = 6
    """Bits per weight, 2 to 8: 2^b - 1 levels around 0."""
    granularity: Literal["channel", "tensor"] = "channel"
    """Scales. channel: one per output channel; tensor: one per layer."""
    activation_bits: int = None  # type: ignore[assignment]
    """Bits of a CNN's activations, 1 to 8; 32 keeps floating point; by default those of weights."""
    ranges: Literal["minmax", "mse", "cross_entropy", "batch_norm"] = "mse"
    """Ranges. minmax: to the largest weight and activation; mse: of least squared error;
    cross_entropy: as mse, for the logits' weights of least cross-entropy with the logits in
    floating point; batch_norm: of activations to six deviations above the mean, beta and |gamma|
    of a batch norm where the network still has one, else measured, of weights as minmax."""
    equalise: bool = False
    """Equalise ranges across layers and absorb biases: a CNN with ReLUs only, most useful with one
    scale per layer. An SNN keeps its scales, since all channels of a layer share one threshold."""
    correct: Literal["none", "matched", "empirical", "analytic"] = None  # type: ignore[assignment]
    """Correct biases; by default matched, and none with adaround. matched: until mean outputs on
    calibration pixels are those in floating point; empirical: by a layer's own error at the mean of
    its inputs; analytic: the same at the mean of rectified Gaussians, whose moments are those of a
    batch norm where the network still has one, else measured. Mean spikes of an SNN are never
    analytic, but empirical."""
    round: Literal["nearest", "adaround"] = "nearest"
    """Rounding. adaround: up or down as keeps each layer's output closest."""
    iterations: int = 10_000
    """Steps per layer of adaround."""
    about = About(
        hooks=("quantizer", "pass"),
        cnn="weights and activations",
        snn="weights; nothing is equalised",
        source="Nagel et al. 2021 (arXiv 2106.08295), 2019 (1906.04721), 2020 (2004.10568)",
        certainty="read in the authors' code; matched biases and rounding on an SNN are ours",
    )

    def __post_init__(self) -> None:
        if self.activation_bits is None or self.bits == 32:
            object.__setattr__(self, "activation_bits", self.bits)
        if self.correct is None:
            learnt = self.round == "adaround"
            object.__setattr__(self, "correct", "none" if learnt else "matched")
        super().__post_init__()
        known = self.activation_bits in ACTIVATION_BITS or self.activation_bits == 32
        self.require(known, "activation_bits", "1 to 8, or 32")
        self.require(self.iterations > 0, "iterations", "at least 1")
        if self.round == "adaround":
            expected = "none beside --quantization.round adaround"
            self.require(self.correct == "none", "correct", expected)

    def plan(self) -> Any:
        """Return fixed grids for weights and ReLUs, and the passes that the options name."""
        return import_module("snnquant.quantization.post_training_plan").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: the SNN's batch norms are folded before anything is quantized."""
