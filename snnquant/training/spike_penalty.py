"""Differentiable count of accumulates, for a spike penalty in the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.nn import layer_table
from snnquant.spiking import SpikingNetwork, spiking_layers


class AccumulateMeter:
    """Accumulates of an SNN's last forward over the MACs of its spiking layers, differentiable.

    By rate: the mean spikes per input over all T, weighted by the dense MACs that the input takes
    part in. 1 means one spike per input in T steps. The hooks stay for the network's life.

    Args:
        network: SNN, quantized or not.
        example: One patch, [1, 1, B, h, w].
    """

    def __init__(self, network: SpikingNetwork, example: Tensor) -> None:
        self.network = network
        self.rates: dict[str, Tensor] = {}
        spiking = spiking_layers(network)
        table = [info for info in layer_table(network, example) if info.name in spiking]
        total = sum(info.mac for info in table)
        self.shares = {info.name: info.mac / total for info in table}
        modules = dict(network.named_modules())
        for name in self.shares:
            modules[name].register_forward_hook(self._hook(name))

    def __call__(self) -> Tensor:
        """Return the sum over the layers of the last forward, a scalar."""
        parts = [self.rates[name] * share for name, share in self.shares.items()]
        return torch.stack(parts).sum() * self.network.time_steps

    def _hook(self, name: str) -> Callable[..., None]:
        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            self.rates[name] = inputs[0].mean()

        return record
