"""Bits by principal components: the quantizers of hybrid networks and the rule that widens them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.config import QuantizationConfig
from snnquant.nn.kinds import SYNAPSES
from snnquant.quantization.api import weight_quantizer
from snnquant.quantization.binary import AllocatedWeight
from snnquant.quantization.methods.hybrid_net import HybridNet
from snnquant.quantization.plan import LayerPlace, Plan, WeightQuantizer
from snnquant.quantization.rules import Rule
from snnquant.quantization.significant_layers import (
    LayerDimensions,
    Moments,
    channel_rows,
    components,
    require_rows,
    significant_layers,
)
from snnquant.quantization.uniform import QuantizedWeight


def plan(config: HybridNet) -> Plan:
    """Return one bit between the first and the last layer, and the rule that allocates more."""

    def quantizer(weight: Tensor, place: LayerPlace) -> WeightQuantizer:
        bits = {
            "first": config.ends_bits,
            "last": config.ends_bits,
            "shortcut": config.shortcut_bits,
        }.get(place.role, 1)
        if bits > 1:
            return QuantizedWeight(weight, QuantizationConfig(bits=bits))
        return AllocatedWeight(bits=1)

    return Plan(weight=quantizer, rules=(partial(BitAllocation, config=config),))


class BitAllocation(Rule):
    """Rule that trains at one bit, finds the significant layers and gives them more bits.

    During the last epoch at one bit it adds up the moments of every layer's outputs. Epochs up to
    that one are never the result of a training.

    Args:
        network: Network with the quantizers of `plan`.
        config: Epochs, thresholds and bits.
    """

    def __init__(self, network: nn.Module, config: HybridNet) -> None:
        self.config = config
        self.layers = {n: m for n, m in network.named_modules() if isinstance(m, SYNAPSES)}
        self.epoch = torch.zeros((), dtype=torch.float64)
        self.moments = {
            name: Moments.of_width(len(layer.weight), layer.weight.device)
            for name, layer in self.layers.items()
        }
        self.hooks = [
            layer.register_forward_hook(partial(self._observe, name))
            for name, layer in self.layers.items()
        ]

    def _observe(self, name: str, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if layer.training and self.epoch == self.config.binary_epochs - 1:
            self.moments[name].add_(channel_rows(output.detach()))

    def after_epoch(self, loss: float) -> None:
        """Count the epoch; after the last at one bit, allocate the bits.

        Raises:
            InputError: A layer has too few outputs for its components.
        """
        self.epoch += 1
        if self.epoch == self.config.binary_epochs:
            for name in significant_layers(
                self._dimensions(), self.config.delta, self.config.compare
            ):
                quantizer = weight_quantizer(self.layers[name])
                if isinstance(quantizer, AllocatedWeight):
                    quantizer.bits = self.config.bits
        if self.epoch >= self.config.binary_epochs:
            self._stop()

    def _dimensions(self) -> list[LayerDimensions]:
        """Return the components of all layers in the network's order, except the last layer's."""
        found = []
        for name, moments in list(self.moments.items())[:-1]:
            require_rows(name, moments, self.config.rows_per_channel)
            dimensions = components(moments.covariance(), self.config.explained)
            found.append(LayerDimensions(name, dimensions, len(moments.sums)))
        return found

    def _stop(self) -> None:
        for hook in self.hooks:
            hook.remove()
        self.moments = {}

    def allows(self) -> bool:
        """Return whether the network was trained with its final bits."""
        return bool(self.epoch > self.config.binary_epochs)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the number of epochs; sums start and end within one."""
        return {"epoch": self.epoch.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the number of epochs; the network's state has the bits."""
        self.epoch.copy_(state["epoch"])
        if self.epoch >= self.config.binary_epochs:
            self._stop()
