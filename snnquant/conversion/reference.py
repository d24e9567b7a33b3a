"""The CNN as the rewrite reads it, layer for layer the SNN's counterpart."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from snnquant.config import NeuronConfig
from snnquant.nn import INPUT
from snnquant.nn.kinds import AVERAGE_POOLS, DROPOUTS, MAX_POOLS, PADS
from snnquant.nn.wiring import Concatenate, Mean, Permute, Reshape, WeightedSum
from snnquant.spiking import SpikingNetwork, build_neuron

ACTIVATIONS = (nn.ReLU, nn.Hardtanh)  # ReLU6 is a Hardtanh
SYNAPSES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
SHAPES = (nn.Flatten, nn.Unflatten, Permute, Reshape)
POOLS = (*AVERAGE_POOLS, *MAX_POOLS, *PADS, Mean)
KEPT = (*DROPOUTS, *SHAPES, *POOLS, WeightedSum, Concatenate)
"""Layers without weights that stand in an SNN as in its CNN."""


@dataclass(frozen=True)
class Node:
    """A layer's place: the layers it takes its inputs from, the shape of its output, its origin.

    `shape` is that of one sample; `where` names the operation and its line in the user's source.
    """

    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    where: str


class Twin(nn.Module):
    """The SNN's graph with ReLUs, plain or clipped, where that has LIF layers of the same names.

    `input_shape` is that of one sample.
    """

    def __init__(
        self, layers: dict[str, nn.Module], nodes: dict[str, Node], input_shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.input_shape = input_shape
        self.layers = nn.Sequential(OrderedDict(layers))
        self.nodes = nodes

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, K] of inputs [N, ...]."""
        values = {INPUT: x}
        for (name, node), layer in zip(self.nodes.items(), self.layers, strict=True):
            values[name] = layer(*(values[source] for source in node.inputs))
        return values[name]

    def activations(self) -> dict[str, nn.Module]:
        """The ReLUs by name."""
        named = self.layers.named_children()
        return {name: layer for name, layer in named if isinstance(layer, ACTIVATIONS)}

    def spiking(self, config: NeuronConfig) -> SpikingNetwork:
        """An SNN of this shape and these weights: every ReLU a LIF layer with threshold 1."""
        layers = {
            name: build_neuron(config) if isinstance(layer, ACTIVATIONS) else copy.deepcopy(layer)
            for name, layer in self.layers.named_children()
        }
        inputs = {name: node.inputs for name, node in self.nodes.items()}
        network = SpikingNetwork(layers, config.time_steps, inputs)
        return network.to(next(self.parameters()))


def ceiling(layer: nn.Module) -> float:
    """Where a ReLU clips: infinity for a plain one."""
    return float(layer.max_val) if isinstance(layer, nn.Hardtanh) else float("inf")
