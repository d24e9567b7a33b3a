"""Layers of a network as passes see them: their order, inputs, outputs and float weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from snnquant.errors import InputError
from snnquant.nn import evaluating, recording
from snnquant.nn.kinds import SYNAPSES

BATCH = 128
"""Calibration inputs per forward."""


def fires(module: nn.Module) -> bool:
    """Check whether a module is a layer of neurons, which are known by leak and threshold."""
    return hasattr(module, "leak") and hasattr(module, "threshold")


def spikes(network: nn.Module) -> bool:
    """Check whether a network has neurons."""
    return any(map(fires, network.modules()))


def synapses_in_order(network: nn.Module, example: Tensor) -> dict[str, bool]:
    """List the convolutions and dense layers as they run, with whether a ReLU is right after.

    Args:
        network: CNN or SNN.
        example: Any input [N, ...] of the right shape.

    Raises:
        InputError: A layer runs twice per forward.

    >>> cnn = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    >>> synapses_in_order(cnn, torch.zeros(1, 4))
    {'0': True, '2': False}
    """
    found: dict[str, bool] = {}
    outputs: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.ReLU):
            found.update({layer: True for layer in outputs if outputs[layer] is inputs[0]})
        elif name in found:
            raise InputError(f"layer {name}: found two runs per forward, expected one")
        else:
            found[name], outputs[name] = False, output

    kinds = (*SYNAPSES, nn.ReLU)
    modules = {name: m for name, m in network.named_modules() if isinstance(m, kinds)}
    with evaluating(network), recording(modules, note):
        network(example[:1])
    return found


def layer_inputs(network: nn.Module, name: str, inputs: Tensor) -> Iterator[Tensor]:
    """Run a network on calibration inputs [N, ...]; yield what a layer got, batch by batch.

    In an SNN a batch of n inputs reaches a layer after neurons as T n.
    """
    got: list[Tensor] = []
    layer = {name: network.get_submodule(name)}
    for batch in torch.split(inputs, BATCH):
        with evaluating(network), recording(layer, lambda *call: got.append(call[2][0])):
            network(batch)
        yield got.pop()


def mean_input(network: nn.Module, name: str, inputs: Tensor) -> Tensor:
    """Return the mean [1, ...] of what a layer gets over calibration inputs [N, ...]."""
    sums, count = [], 0
    for got in layer_inputs(network, name, inputs):
        sums.append(got.double().sum(0, keepdim=True))
        count += len(got)
    return (torch.cat(sums).sum(0, keepdim=True) / count).to(got)


def output_moments(
    network: nn.Module, layers: Mapping[str, nn.Module], inputs: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and standard deviation [K] of every channel that layers put out, on the CPU."""
    sums: dict[str, Tensor] = {}

    def add(name: str, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        sums[name] = sums.get(name, 0) + power_sums(by_channel(layer, output))

    with evaluating(network), recording(layers, add):
        for batch in torch.split(inputs, BATCH):
            network(batch)
    return {name: moments(total) for name, total in sums.items()}


def power_sums(values: Tensor) -> Tensor:
    """Return count, sum and sum of squares [3, K] of values [K, n], in float64 on the CPU."""
    rows = values.double()
    count = torch.full_like(rows[:, 0], rows.shape[1])
    return torch.stack([count, rows.sum(1), rows.square().sum(1)]).cpu()


def moments(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation [K] of `power_sums`."""
    count, total, squares = sums
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=0).sqrt()


def apply(layer: nn.Module, given: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute a convolution or dense layer with another weight, and a bias or none."""
    convolution: Any = layer
    if isinstance(layer, nn.Linear):
        return functional.linear(given, weight, bias)
    return convolution._conv_forward(given, weight, bias)  # type: ignore[no-any-return]


def by_channel(layer: nn.Module, output: Tensor) -> Tensor:
    """Return a layer's output as [K, values]."""
    return output.movedim(-1 if isinstance(layer, nn.Linear) else 1, 0).flatten(1)


def latent(layer: nn.Module) -> Tensor:
    """Return a layer's weight in floating point, that of a quantized one before its quantizer."""
    if parametrize.is_parametrized(layer, "weight"):
        steps: Any = layer.parametrizations
        return steps.weight.original  # type: ignore[no-any-return]
    return layer.get_parameter("weight")


def floating(network: nn.Module) -> nn.Module:
    """Copy a quantized network and take its quantizers off: the latent weights compute."""
    plain = copy.deepcopy(network)
    for module in list(plain.modules()):
        if parametrize.is_parametrized(module):
            shared, parametrizations = type(module), module.parametrizations
            # torch deletes the parameter's property from a class that deep copies share.
            module.__class__ = type(shared.__name__, shared.__bases__, dict(shared.__dict__))
            for name in list(parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=False)
    return plain
