"""The CNN as the conversion reads it: the counterpart of the SNN, layer for layer."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from snnquant.config import NeuronConfig
from snnquant.nn import GraphNetwork
from snnquant.nn.kinds import ACTIVATIONS
from snnquant.nn.wiring import Sum, WeightedSum
from snnquant.quantization.activations import QuantizedReLU
from snnquant.spiking import SpikingNetwork, build_neuron


@dataclass(frozen=True)
class Origin:
    """The shape of a layer's output for one sample, and the operation that the layer computes.

    `where` names the operation and its line in the user's source.
    """

    shape: tuple[int, ...]
    where: str


class ReferenceCNN(GraphNetwork):
    """The SNN's graph with ReLUs, plain or clipped, in the place of the LIF layers.

    `origins` has a row per layer, `input_shape` is that of one sample.
    """

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        inputs: Mapping[str, Sequence[str]],
        origins: Mapping[str, Origin],
        input_shape: tuple[int, ...],
    ) -> None:
        super().__init__(layers, inputs)
        self.origins = dict(origins)
        self.input_shape = input_shape

    def activations(self) -> dict[str, nn.Module]:
        """Return the ReLUs by name."""
        named = self.layers.named_children()
        return {name: layer for name, layer in named if isinstance(layer, ACTIVATIONS)}

    def spiking(self, config: NeuronConfig) -> SpikingNetwork:
        """Build an SNN of this shape and these weights: every ReLU a LIF layer with threshold 1."""

        def counterpart(layer: nn.Module) -> nn.Module:
            if isinstance(layer, ACTIVATIONS):
                return build_neuron(config)
            return WeightedSum(layer.weights) if isinstance(layer, Sum) else copy.deepcopy(layer)

        layers = {name: counterpart(layer) for name, layer in self.layers.named_children()}
        network = SpikingNetwork(layers, config.time_steps, self.inputs)
        return network.to(next(self.parameters()))


def ceiling(layer: nn.Module) -> float:
    """Return the value that a ReLU clips at, learnt or fixed: infinity for a plain one."""
    if isinstance(layer, QuantizedReLU):
        return float(layer.ceiling.detach())
    return float(layer.max_val) if isinstance(layer, nn.Hardtanh) else float("inf")


def allowed(layer: nn.Module, threshold: float) -> float:
    """Return the threshold for a ReLU's neurons: at most its ceiling, and at a learnt one just it.

    A quantized ReLU has learnt where to clip; a neuron that spikes in every step then stands
    for the same activation (Bu et al. 2022).
    """
    limit = ceiling(layer)
    return limit if isinstance(layer, QuantizedReLU) else min(threshold, limit)
