"""Thresholds of an SNN from the activations of its CNN, scaled by what validation pixels say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.config import NeuronConfig
from snnquant.models import to_spiking
from snnquant.spiking import LIF, SpikingNetwork

PERCENTILE = 99.7
"""Percentile of the pre-activations that the threshold starts from (DIET-SNN's released code)."""
SCALES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
"""Factors of that percentile tried on the validation pixels."""


@dataclass(frozen=True)
class ConversionReport:
    """What the conversion chose: per layer the CNN's percentile, the factor and the threshold."""

    layers: tuple[str, ...]
    percentiles: tuple[float, ...]
    scales: tuple[float, ...]
    thresholds: tuple[float, ...]
    validation_accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


@torch.no_grad()
def activation_percentiles(cnn: nn.Sequential, calibration: Tensor) -> list[float]:
    """The `PERCENTILE` of every ReLU's input, layer by layer, over the calibration patches."""
    percentiles = []
    x = calibration
    was_training = cnn.training
    for module in cnn.eval():
        if isinstance(module, nn.ReLU):
            # kthvalue, because torch.quantile takes at most 16 million elements.
            rank = max(1, round(x.numel() * PERCENTILE / 100))
            percentiles.append(max(float(x.flatten().kthvalue(rank).values), 1e-3))
        x = module(x)
    cnn.train(was_training)
    return percentiles


@torch.no_grad()
def set_thresholds(snn: SpikingNetwork, cnn: nn.Sequential, thresholds: list[float]) -> None:
    """Give the SNN the CNN's weights, thresholds V and a leak of 1.

    A spike of a layer with threshold V stands for V / T of activation a step, but travels as 1: the
    weights behind the layer carry its V. Biases are constant currents and stay.
    """
    sources = dict(cnn.named_children())
    remaining = iter(thresholds)
    threshold = 1.0
    for name, module in snn.layers.named_children():
        if isinstance(module, LIF):
            threshold = next(remaining)
            module.threshold.fill_(threshold)
            module.leak.fill_(1.0)
        elif isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            weight = sources[name].get_parameter("weight")
            module.weight.copy_(weight * threshold)
            threshold = 1.0  # what comes out is in the CNN's units again


def convert(
    cnn: nn.Sequential,
    neuron: NeuronConfig,
    calibration: Tensor,
    accuracy: Callable[[nn.Module], float],
) -> tuple[SpikingNetwork, ConversionReport]:
    """An SNN of the CNN's shape that fires at the rates the CNN's activations call for.

    Each threshold is a percentile of the CNN's pre-activations on the `calibration` patches
    [N, 1, B, h, w] times a factor. The factor is searched with `accuracy` (an SNN's score on
    validation pixels): one for all layers first, then layer by layer from the input on.
    `cnn` has ReLUs and no batch norm; it is left as it is.
    """
    percentiles = activation_percentiles(cnn, calibration)
    snn = to_spiking(cnn, neuron).eval()

    def score(scales: list[float]) -> float:
        set_thresholds(snn, cnn, [p * s for p, s in zip(percentiles, scales, strict=True)])
        return accuracy(snn)

    candidates = [[scale] * len(percentiles) for scale in SCALES]
    scores = [score(candidate) for candidate in candidates]
    best = max(scores)
    scales = candidates[scores.index(best)]
    for layer in range(len(percentiles)):
        for scale in SCALES:
            trial = [*scales[:layer], scale, *scales[layer + 1 :]]
            if (reached := score(trial)) > best:
                best, scales = reached, trial
    score(scales)
    names = [name for name, module in snn.layers.named_children() if isinstance(module, LIF)]
    thresholds = [p * s for p, s in zip(percentiles, scales, strict=True)]
    return snn, ConversionReport(
        tuple(names), tuple(percentiles), tuple(scales), tuple(thresholds), best
    )
