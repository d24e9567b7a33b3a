"""Thresholds into an SNN, and the weights behind them into the units of spikes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from snnquant.conversion.twin import ACTIVATIONS, POOLS, SHAPES, SYNAPSES, Twin
from snnquant.errors import InputError
from snnquant.spiking import INPUT, LIF, SpikingNetwork
from snnquant.spiking.wiring import Concatenate, Mean, WeightedSum


@torch.no_grad()
def set_thresholds(snn: SpikingNetwork, twin: Twin, thresholds: Mapping[str, float]) -> None:
    """Give the SNN its twin's weights, a threshold V for every LIF layer, and a leak of 1.

    A spike of a layer with threshold V stands for V / T of activation a step, but travels as 1: the
    weights behind the layer carry its V (those of a sum, where no synapse lies between). Biases
    are constant currents and stay.
    """
    carried = units(twin, thresholds)
    for name, factors in carried.items():
        layer, source = snn.layers.get_submodule(name), twin.layers.get_submodule(name)
        if isinstance(layer, LIF):
            layer.threshold.copy_(thresholds[name] / factors[0])
            layer.leak.fill_(1.0)
        elif isinstance(layer, WeightedSum):
            layer.weights.copy_(source.get_buffer("weights") * torch.stack(factors))
        else:
            layer.get_parameter("weight").copy_(source.get_parameter("weight") * factors[0])
            if source.bias is not None:
                layer.get_parameter("bias").copy_(source.get_parameter("bias"))


@torch.no_grad()
def units(twin: Twin, thresholds: Mapping[str, float]) -> dict[str, list[Tensor]]:
    """What a 1 in each input of a layer stands for in the CNN: a factor for its weights.

    A scalar for an activation or a sum, and a tensor that broadcasts over the weights of a synapse.
    Raises InputError where concatenated layers reach one that cannot tell them apart.
    """
    anything = next(twin.parameters())
    one = anything.new_ones(())
    values: dict[str, Tensor] = {INPUT: one.expand(1, *twin.input_shape)}
    factors: dict[str, list[Tensor]] = {}
    for name, layer in twin.layers.named_children():
        node = twin.nodes[name]
        inputs = [values[source] for source in node.inputs]
        try:
            if isinstance(layer, (*ACTIVATIONS, WeightedSum)):
                factors[name] = [_uniform(x) for x in inputs]
            elif isinstance(layer, SYNAPSES):
                factors[name] = [_of_weights(layer, inputs[0])]
            values[name] = _output(layer, inputs, (1, *node.shape), thresholds.get(name, 1.0))
        except _MixedUnitsError:
            raise InputError(
                f"{node.where}: found concatenated activations of several thresholds mixed by "
                f"{type(layer).__name__}, expected a convolution or dense layer right behind a "
                "concatenation of channels"
            ) from None
    return factors


class _MixedUnitsError(Exception):
    """A layer would have to weigh values that its single factor cannot tell apart."""


def _output(
    layer: nn.Module, inputs: list[Tensor], shape: tuple[int, ...], threshold: float
) -> Tensor:
    """What a 1 in each place of a layer's output stands for."""
    if isinstance(layer, ACTIVATIONS):
        return inputs[0].new_tensor(threshold).expand(shape)
    if isinstance(layer, (*SYNAPSES, WeightedSum)):
        return inputs[0].new_ones(()).expand(shape)
    if isinstance(layer, Concatenate):
        return torch.cat(inputs, layer.axis)
    if isinstance(layer, SHAPES):
        reshaped: Tensor = layer(inputs[0])
        return reshaped
    if isinstance(layer, POOLS):
        channels = _per_channel(inputs[0])
        if shape[1] != len(channels) or (isinstance(layer, Mean) and 1 in layer.axes):
            return _uniform(channels).expand(shape)
        return channels.view(1, -1, *[1] * (len(shape) - 2)).expand(shape)
    return inputs[0]


def _uniform(unit: Tensor) -> Tensor:
    """The one value that all places have."""
    value = unit.reshape(-1)[0]
    if not (unit == value).all():
        raise _MixedUnitsError
    return value


def _per_channel(unit: Tensor) -> Tensor:
    """The values [C] that all places of a channel have."""
    first = unit.reshape(*unit.shape[:2], -1)[0, :, :1]
    if not (unit.reshape(*unit.shape[:2], -1)[0] == first).all():
        raise _MixedUnitsError
    return first.reshape(-1)


def _of_weights(layer: nn.Module, unit: Tensor) -> Tensor:
    """The factor of a synapse's weight [out, in / groups, ...], of its input's units."""
    if isinstance(layer, nn.Linear):
        rows = unit.reshape(-1, unit.shape[-1])
        if not (rows == rows[:1]).all():
            raise _MixedUnitsError
        return rows[:1]
    assert isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
    by_group = _per_channel(unit).view(layer.groups, -1)
    factor = by_group.repeat_interleave(layer.out_channels // layer.groups, 0)
    return factor.view(*factor.shape, *[1] * (layer.weight.ndim - 2))
