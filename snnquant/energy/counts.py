"""Operations a classified pixel takes, counted by hooks while the network classifies pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.nn import LayerInfo, layer_table
from snnquant.nn.hooks import evaluating, recording
from snnquant.sampling import Patches
from snnquant.spiking import Neuron, SpikingNetwork, spiking_layers

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "conv3d": nn.functional.conv3d,
    "conv2d": nn.functional.conv2d,
    "conv1d": nn.functional.conv1d,
}


@dataclass(frozen=True)
class LayerActivity:
    """A synaptic layer and its operations, means over the pixels that were classified.

    `spiking` says that its inputs are spikes, `input_density` which share of them is not 0 in a
    step. `mac` are multiply-accumulates (analog input: once a pixel, or once a step where it is
    `changing`), `ac` accumulates (spiking input, summed over T) counted one by one, `ac_by_rate`
    the estimate that multiplies the spikes of an input over all T by the dense MACs. Biases are not
    counted.
    """

    info: LayerInfo
    spiking: bool
    input_density: float
    mac: float
    ac: float
    ac_by_rate: float
    changing: bool = False


def measure(
    network: nn.Module, patches: Patches, indices: Tensor, batch_size: int = 512
) -> list[LayerActivity]:
    """Operations of every convolution and dense layer, a mean over the pixels at `indices` [N].

    A CNN multiplies everywhere. An SNN multiplies in the layers before its first LIF, and at every
    step in those whose inputs were made of spikes by another such layer, a sum or an average. It
    accumulates elsewhere, one weight a spike and output: the spike mask convolved with ones.
    """
    table = layer_table(network, patches.gather(indices[:1]))
    spiking = spiking_layers(network)
    steps = network.time_steps if isinstance(network, SpikingNetwork) else 1
    behind = network.spike_driven if isinstance(network, SpikingNetwork) else frozenset()
    sums = {info.name: [0.0, 0.0] for info in table}
    infos = {info.name: info for info in table}

    def count(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        x = inputs[0]
        # The readout sees mean spikes [N, ...] where the layers before it see T x N batches.
        scale = steps / (x.shape[0] / pixels) if name in spiking else pixels / x.shape[0]
        active = x if name in spiking else (x != 0).to(x.dtype)
        sums[name][0] += float(active.sum(dtype=torch.float64)) * scale
        if name in spiking:
            sums[name][1] += _reached(infos[name], module, x) * scale

    layers = {name: network.get_submodule(name) for name in infos}
    with evaluating(network), recording(layers, count):
        for batch in torch.split(indices, batch_size):
            pixels = len(batch)
            network(patches.gather(batch))

    activity = []
    for info in table:
        inputs, accumulates = (value / len(indices) for value in sums[info.name])
        rate = inputs / torch.Size(info.input_shape).numel()
        if info.name in spiking:
            row = LayerActivity(info, True, rate / steps, 0.0, accumulates, rate * info.mac)
        else:
            changing = info.name.removeprefix("layers.") in behind
            mac = float(info.mac) * (steps if changing else 1)
            row = LayerActivity(info, False, rate, mac, 0.0, 0.0, changing)
        activity.append(row)
    return activity


def operations(activity: Sequence[LayerActivity]) -> dict[str, float]:
    """Multiply-accumulates and accumulates a classified pixel."""
    return {
        "mac": sum(layer.mac for layer in activity),
        "ac": sum(layer.ac for layer in activity),
    }


def shared_between_windows(activity: Sequence[LayerActivity]) -> list[LayerActivity]:
    """The same layers where a whole scene is classified: what windows share is counted once.

    A convolution's outputs at a position serve every window that holds it, so that of the rows
    times columns of outputs a window has, one is left a pixel. True of networks that
    `snnquant.inference.dense_form` knows a form for.
    """

    def positions(layer: LayerActivity) -> int:
        if layer.info.kind == "linear":
            return 1
        return math.prod(layer.info.output_shape[-2:])

    return [
        replace(
            layer,
            mac=layer.mac / positions(layer),
            ac=layer.ac / positions(layer),
            ac_by_rate=layer.ac_by_rate / positions(layer),
        )
        for layer in activity
    ]


def spike_rates(
    network: SpikingNetwork, patches: Patches, indices: Tensor, batch_size: int = 512
) -> dict[str, float]:
    """Spikes a neuron a step of every LIF layer, mean over the pixels at `indices` [N]."""
    counts: dict[str, list[float]] = {}

    def count(name: str, module: nn.Module, inputs: Any, spikes: Tensor) -> None:
        total = counts.setdefault(name, [0.0, 0.0])
        total[0] += float(spikes.sum(dtype=torch.float64))
        total[1] += spikes.numel()

    children = network.layers.named_children()
    neurons = {name: module for name, module in children if isinstance(module, Neuron)}
    with evaluating(network), recording(neurons, count):
        for batch in torch.split(indices, batch_size):
            network(patches.gather(batch))
    return {name: spikes / slots for name, (spikes, slots) in counts.items()}


def _reached(info: LayerInfo, module: Any, spikes: Tensor) -> float:
    """Accumulates that the spikes cause: each counts once for every output that it reaches."""
    if info.kind == "linear":
        return float(spikes.sum(dtype=torch.float64)) * info.weight_shape[0]
    groups: int = module.groups
    ones = spikes.new_ones(groups, *info.weight_shape[1:])
    touched = FUNCTIONS[info.kind](
        spikes, ones, None, info.stride, info.padding, module.dilation, groups
    )
    return float(touched.sum(dtype=torch.float64)) * (info.weight_shape[0] // groups)
