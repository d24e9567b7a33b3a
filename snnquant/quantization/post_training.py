"""The plan of the method "post_training": fixed grids and the passes in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from snnquant.quantization.fixed_grid import FixedGridWeight
from snnquant.quantization.passes.adaround import round_adaptively
from snnquant.quantization.passes.bias_correction import correct_analytically, correct_empirically
from snnquant.quantization.passes.equalisation import absorb_biases, equalise
from snnquant.quantization.passes.layers import spikes, synapses_in_order
from snnquant.quantization.passes.ranges import logits_range
from snnquant.quantization.plan import Calibration, Pass, Plan

if TYPE_CHECKING:
    from snnquant.quantization.methods.post_training import PostTraining


def plan(config: PostTraining) -> Plan:
    """Return fixed grids for every weight, and the passes that the options name."""
    clip, per_channel = _clip(config.ranges), config.granularity == "channel"
    after: list[Pass] = []
    if config.ranges == "cross_entropy":
        after.append(_set_logits_range)
    if config.correct == "empirical":
        after.append(lambda network, seen: correct_empirically(network, seen.inputs))
    if config.correct == "analytic":
        after.append(_correct_analytically)
    if config.round == "adaround":
        steps = config.iterations
        after.append(lambda network, seen: round_adaptively(network, seen.inputs, steps))
    return Plan(
        lambda weight, place: FixedGridWeight(weight, config.bits, clip, per_channel=per_channel),
        before=(_equalise,) if config.equalise else (),
        after=tuple(after),
        trains=False,
    )


def _clip(ranges: str) -> str:
    return "max" if ranges == "minmax" else "mse"


def _equalise(network: nn.Module, seen: Calibration) -> None:
    if not spikes(network):  # all channels of a neuron layer share one threshold
        equalise(network, seen.inputs)
        absorb_biases(network, seen.inputs)


def _correct_analytically(network: nn.Module, seen: Calibration) -> None:
    # Spikes are no rectified Gaussians: their mean is only measured.
    correct = correct_empirically if spikes(network) else correct_analytically
    correct(network, seen.inputs)


def _set_logits_range(network: nn.Module, seen: Calibration) -> None:
    last = list(synapses_in_order(network, seen.inputs))[-1]
    quantizer = network.get_submodule(last).parametrizations.weight[0]  # type: ignore[union-attr, index]
    assert isinstance(quantizer, FixedGridWeight)
    grid = logits_range(
        network, last, quantizer.bits, seen.inputs, per_channel=quantizer.per_channel
    )
    quantizer.scale.copy_(grid.scale)
