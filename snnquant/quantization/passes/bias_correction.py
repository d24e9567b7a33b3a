"""Bias correction: the mean error that a quantized weight makes, taken off the bias.

Nagel et al., A White Paper on Neural Network Quantization, 2021, section 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization.passes.expectations import expected_inputs
from snnquant.quantization.passes.layers import (
    apply,
    by_channel,
    floating,
    latent,
    mean_input,
    synapses_in_order,
)


@torch.no_grad()
def correct_empirically(network: nn.Module, inputs: Tensor) -> None:
    """Correct every bias for the mean input that its layer gets, in place.

    b -= (Q(W) - W) E[x], layer by layer, with x as the quantized and corrected layers before it
    hand it on. In an SNN E[x] is over the time steps too. Afterwards the mean error of every
    channel on these inputs is zero.

    Args:
        network: Quantized CNN or SNN.
        inputs: Calibration inputs [N, ...], 500 to 1,000 of them.

    Raises:
        InputError: A layer has no bias, or runs twice per forward.
    """
    for name in synapses_in_order(network, inputs):
        correct(network, name, mean_input(network, name, inputs))


@torch.no_grad()
def correct_analytically(network: nn.Module, inputs: Tensor) -> None:
    """Correct every bias for an expected input that follows from moments, in place.

    As `correct_empirically`, with the E[x] of `expected_inputs` in the network in floating point.

    Args:
        network: Quantized CNN.
        inputs: Calibration inputs [N, ...].

    Raises:
        InputError: A layer has no bias, or the network has an operation without a closed form.
    """
    for name, expected in expected_inputs(floating(network), inputs).items():
        correct(network, name, expected)


def correct(network: nn.Module, name: str, expected: Tensor) -> None:
    """Take (Q(W) - W) E[x], its mean over positions, off a layer's bias; E[x] is [1, ...]."""
    layer: Any = network.get_submodule(name)
    if layer.bias is None:
        raise InputError(f"layer {name}: found no bias, expected one to correct")
    error = apply(layer, expected, layer.weight - latent(layer))
    layer.bias.sub_(by_channel(layer, error).mean(1))
