"""Grids of narrow potentials that follow the scales of the weights before them."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn import INPUT
from snnquant.nn.kinds import DROPOUTS, SYNAPSES
from snnquant.quantization import integer_weights
from snnquant.spiking import FLOATING, LIF, SpikingNetwork, spiking_layers


class PotentialGrids:
    """Narrow potentials of an SNN, aligned with its quantized weights until they are final.

    Before every forward the potentials of a `LIF` layer get steps that are those of the sums of
    weights before it times a power of two: the scales of the weights, of batch norms in training
    and, in the first layer, of the pixels. Layers that sum anything else keep steps of their own.

    Args:
        network: SNN whose weights are quantized, or will be.
        pixel_step: Step of the grid of the network's inputs; None for floating point.
    """

    def __init__(self, network: SpikingNetwork, pixel_step: float | None) -> None:
        self.pairs = list(_pairs(network, pixel_step))
        self.handles = [
            lif.register_forward_pre_hook(partial(_lay, synapse, step))
            for lif, synapse, step in self.pairs
        ]

    @torch.no_grad()
    def finish(self) -> None:
        """Lay the grids under the final weights, and put biases on them."""
        for handle in self.handles:
            handle.remove()
        for lif, synapse, step in self.pairs:
            _lay(synapse, step, lif)
            if lif.units is not None and synapse.bias is not None:
                codes = (synapse.bias / lif.units).round()
                synapse.bias.copy_(codes * lif.units)


def _pairs(network: SpikingNetwork, pixel_step: float | None) -> Any:
    """Yield the neurons with narrow potentials, the synapse before each, and its inputs' step."""
    layers, spikes = network.layers, spiking_layers(network)
    for name, lif in layers.named_children():
        if not isinstance(lif, LIF) or lif.potential_bits == FLOATING:
            continue
        source = _past(network, name, (nn.Identity, *DROPOUTS))
        if source == INPUT:
            continue
        synapse = layers.get_submodule(source)
        if not isinstance(synapse, SYNAPSES):
            continue
        first = _past(network, source, (nn.Identity, nn.Flatten)) == INPUT
        step = pixel_step if first else 1.0 if f"layers.{source}" in spikes else None
        if step is not None:
            yield lif, synapse, step


def _past(network: SpikingNetwork, name: str, kinds: tuple[type[nn.Module], ...]) -> str:
    """Return the source of a layer of one input, past layers of some kinds."""
    source = network.inputs[name][0]
    while source != INPUT and isinstance(network.layers.get_submodule(source), kinds):
        source = network.inputs[source][0]
    return source


@torch.no_grad()
def _lay(synapse: Any, step: float, lif: LIF, *_: Any) -> None:
    try:
        codes, scale, zero_point = integer_weights(synapse)
    except InputError:  # weights in floating point, or on no uniform grid
        lif.units = None
        return
    used = (codes.to(torch.int32) - zero_point).flatten(1).any(1)
    scale = scale.flatten().expand(len(codes))
    norm = getattr(synapse, "norm", None)
    if norm is not None:
        scale = scale * (norm.weight / (norm.running_var + norm.eps).sqrt()).abs()
    lif.lay_units(scales_in_use(scale, used) * step)


def scales_in_use(scale: Tensor, used: Tensor) -> Tensor:
    """Return scales [K] in which channels without weights, which have none, count as 1."""
    return torch.where(used & (scale > 0), scale, torch.ones_like(scale))
