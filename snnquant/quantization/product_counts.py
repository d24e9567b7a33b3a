"""Products of weights and inputs, counted in training: what bits cost, for rules that set them.

The effort is the table `ace`: bits of the weight times bits of the input per product. Spikes have
one bit, and only those that are emitted have products, by their mean rate; other inputs have the
bits of the last activation before the layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.nn.kinds import SYNAPSES
from snnquant.quantization.activations import ActivationQuantizer
from snnquant.quantization.allocated_activations import AllocatedReLU

INPUT_BITS = 16
"""Bits of inputs that nothing quantizes, as the integer engine takes pixels."""


def are_spikes(x: Tensor, steps: int) -> bool:
    """Return whether all values are spikes, or means of spikes over a number of steps.

    Dropout multiplies those that it keeps by one factor, so that multiples count.

    >>> are_spikes(torch.tensor([0.0, 0.3, 0.6]), 2), are_spikes(torch.tensor([0.3, 0.5]), 2)
    (True, False)
    """
    unit = torch.where(x > 0, x, torch.inf).amin()
    multiples = x / unit
    whole = (multiples - multiples.round()).abs() < 1e-3
    return bool((whole & (x >= 0) & (multiples < steps + 0.5)).all())


class ProductCounts:
    """Products of every layer since the last `clear`, of forwards in training mode.

    Args:
        network: CNN or SNN.

    >>> network = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)).train()
    >>> counts = ProductCounts(network)
    >>> _ = network(torch.full((1, 6), 0.5))
    >>> counts.effort({"0": 4, "1": 2}) / 16  # 24 products of 4 bits, 8 of 2
    112.0
    >>> counts.shares()
    {'0': 0.75, '1': 0.25}
    """

    def __init__(self, network: nn.Module) -> None:
        self._fixed: dict[str, float] = {}
        self._allocated: dict[str, float] = {}
        self._source: ActivationQuantizer | None = None
        self._patches, self.steps = 0, int(getattr(network, "time_steps", 0))
        network.register_forward_pre_hook(self._start)
        for name, module in network.named_modules():
            if isinstance(module, SYNAPSES):
                module.register_forward_hook(partial(self._count, name))
            elif isinstance(module, ActivationQuantizer):
                module.register_forward_hook(self._pass)
        self.names = [n for n, m in network.named_modules() if isinstance(m, SYNAPSES)]

    def _start(self, network: nn.Module, inputs: Any) -> None:
        self._source, self._patches = None, len(inputs[0])

    def _pass(self, module: Any, inputs: Any, output: Tensor) -> None:
        self._source = module

    @torch.no_grad()
    def _count(self, name: str, layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not layer.training:
            return
        x, products = inputs[0], float(output.numel() * math.prod(layer.weight.shape[1:]))
        if isinstance(self._source, AllocatedReLU):
            self._allocated[name] = self._allocated.get(name, 0.0) + products
            return
        bits = INPUT_BITS if self._source is None else self._source.bits
        # Spikes come as steps times patches, or as their means over the steps, one row per patch.
        steps = self.steps if len(x) == self._patches else 1
        if self.steps and are_spikes(x, steps):
            bits, products = 1, products * steps * float(x.mean(dtype=torch.float64))
        self._fixed[name] = self._fixed.get(name, 0.0) + products * bits

    def clear(self) -> None:
        """Forget what was counted."""
        self._fixed, self._allocated = {}, {}

    def effort(self, weight_bits: Mapping[str, int], activation_bits: int = 1) -> float:
        """Return the bit operations that were counted, at other bits.

        Args:
            weight_bits: Bits per weight, by layer.
            activation_bits: Bits of the inputs that an `AllocatedReLU` makes.
        """
        return sum(
            bits * (self._fixed.get(name, 0.0) + activation_bits * self._allocated.get(name, 0.0))
            for name, bits in weight_bits.items()
        )

    def shares(self) -> dict[str, float]:
        """Return the share of every layer in the effort where all weights have the same bits."""
        own = {name: self.effort({name: 1}) for name in self.names}
        total = sum(own.values())
        return {name: value / total if total else 1 / len(own) for name, value in own.items()}
