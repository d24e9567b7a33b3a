"""The plan of the method "post_training": fixed grids and the passes in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.fixed_grid import FixedGridWeight
from snnquant.quantization.passes.activation_ranges import (
    Ceiling,
    set_ceilings,
    unquantized_activations,
)
from snnquant.quantization.passes.adaround import round_adaptively
from snnquant.quantization.passes.bias_correction import (
    correct_analytically,
    correct_empirically,
    match_outputs,
)
from snnquant.quantization.passes.equalisation import absorb_biases, equalise
from snnquant.quantization.passes.observed_layers import spikes, synapses_in_order
from snnquant.quantization.passes.ranges import logits_range
from snnquant.quantization.plan import Calibration, Pass, Plan

if TYPE_CHECKING:
    from snnquant.quantization.methods.post_training import PostTraining


CEILINGS: dict[str, Ceiling] = {
    "minmax": "max",
    "mse": "mse",
    "cross_entropy": "mse",
    "batch_norm": "moments",
}
"""Range of activations by the name of the ranges."""


def plan(config: PostTraining) -> Plan:
    """Return fixed grids for weights and ReLUs, and the passes that the options name."""
    clip = "max" if config.ranges in ("minmax", "batch_norm") else "mse"
    per_channel = config.granularity == "channel"
    quantizes_activations = config.activation_bits != 32
    passes = _passes(config)

    def calibrate(network: nn.Module, seen: Calibration) -> None:
        with unquantized_activations(network):
            for one in passes:
                one(network, seen)
        set_ceilings(network, seen.inputs, CEILINGS[config.ranges])

    return Plan(
        lambda weight, place: FixedGridWeight(weight, config.bits, clip, per_channel=per_channel),
        activation=(lambda place: QuantizedReLU(config.activation_bits))
        if quantizes_activations
        else None,
        before=(_equalise,) if config.equalise else (),
        after=(calibrate,) if passes or quantizes_activations else (),
        trains=False,
    )


def _passes(config: PostTraining) -> list[Pass]:
    """List what is done to the quantized weights and the biases."""
    passes: list[Pass] = []
    if config.ranges == "cross_entropy":
        passes.append(_set_logits_range)
    if config.correct == "matched":
        passes.append(lambda network, seen: match_outputs(network, seen.inputs))
    if config.correct == "empirical":
        passes.append(lambda network, seen: correct_empirically(network, seen.inputs))
    if config.correct == "analytic":
        passes.append(_correct_analytically)
    if config.round == "adaround":
        steps = config.iterations
        passes.append(lambda network, seen: round_adaptively(network, seen.inputs, steps))
    return passes


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
