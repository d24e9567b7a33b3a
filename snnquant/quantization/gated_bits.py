"""Bits per layer within a budget of bit operations: the plan and the rule of CGMQ."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.api import latent_weights
from snnquant.quantization.binary import AllocatedWeight
from snnquant.quantization.methods.cgmq import CGMQ
from snnquant.quantization.plan import LayerPlace, Plan
from snnquant.quantization.product_counts import ProductCounts
from snnquant.quantization.rules import Rule

WIDTHS = (2, 4, 8)
"""Bits of a gate in (0, 1], (1, 2] and (2, 3]."""
ROUNDING = 1e-9
"""Bits by which a sum of shares may exceed the budget."""
CLOSED, MARGIN = 0.5, 0.25
"""Lowest gate, and what keeps the speed of closing finite where gradients are 0."""


def plan(config: CGMQ) -> Plan:
    """Return weights of the widest uniform bits within the budget, and the rule of the gates."""
    start = start_bits(config)

    def activation(place: LayerPlace) -> QuantizedReLU:
        return QuantizedReLU(config.activation_bits, "pact")

    return Plan(
        lambda weight, place: AllocatedWeight(start),
        activation=None if config.activation_bits == 32 else activation,
        rules=(partial(GatedBits, config=config),),
    )


def start_bits(config: CGMQ) -> int:
    """Return the most bits that all layers can have within the budget.

    >>> start_bits(CGMQ(budget=7.9)), start_bits(CGMQ(budget=20)), start_bits(CGMQ(budget=2))
    (4, 8, 2)
    """
    return max(bits for bits in WIDTHS if bits <= min(config.budget, config.bits))


class GatedBits(Rule):
    """Rule that moves a gate per layer between two epochs; gates say the bits.

    Gates move before the first step of an epoch, so that every epoch's network was trained with its
    bits; one above the budget is never the result.

    Args:
        network: Network with the quantizers of `plan`.
        config: Budget and rate.
    """

    def __init__(self, network: nn.Module, config: CGMQ) -> None:
        self.config = config
        self.layers = latent_weights(network, AllocatedWeight)
        self.counts = ProductCounts(network)
        number = len(self.layers)
        start = WIDTHS.index(start_bits(config)) + 0.5
        self.gates = torch.full((number,), start, dtype=torch.float64)
        self.importance = torch.zeros(number, dtype=torch.float64)
        self.mean_bits = torch.zeros((), dtype=torch.float64)
        self._gradients = torch.zeros(number, dtype=torch.float64)
        self._steps = 0

    def before_step(self) -> None:
        """Move the gates before the first step after an epoch; note the size of gradients."""
        if not self._steps and self.mean_bits > 0:
            self.move(self.importance, within=self.within)
        self._steps += 1
        for place, (_, weight) in enumerate(self.layers.values()):
            if weight.grad is not None:
                self._gradients[place] += float(weight.grad.abs().mean())

    def move(self, importance: Tensor, *, within: bool) -> None:
        """Open or close the gates and set the bits.

        Args:
            importance: Gradient times cost of every layer, at most 1, [layers].
            within: Whether the budget was held.
        """
        speed = importance if within else -1 / (importance + MARGIN)
        most = WIDTHS.index(self.config.bits) + 1
        self.gates = (self.gates + self.config.gate_rate * speed).clamp(CLOSED, most)
        for gate, (quantizer, _) in zip(self.gates.tolist(), self.layers.values(), strict=True):
            quantizer.bits = WIDTHS[next(i for i in range(most) if gate <= i + 1)]

    @property
    def within(self) -> bool:
        """True where the bits of the last epoch held the budget."""
        return bool(self.mean_bits <= self.config.budget + ROUNDING)

    def after_epoch(self, loss: float) -> None:
        """Compare the epoch's bits with the budget; rank the layers for the next one."""
        shares = self.counts.shares()
        bits = {name: quantizer.bits for name, (quantizer, _) in self.layers.items()}
        self.mean_bits.fill_(sum(shares[name] * bits[name] for name in bits))
        cost = torch.tensor([shares[name] for name in bits], dtype=torch.float64)
        product = self._gradients * cost
        largest = product.max()
        self.importance = product / largest if largest > 0 else torch.ones_like(product)
        self._gradients.zero_()
        self._steps = 0
        self.counts.clear()

    def allows(self) -> bool:
        """Return whether the epoch's bits hold the budget."""
        return self.within

    def state_dict(self) -> dict[str, Tensor]:
        """Return the gates, and what moves them before the next step."""
        names = ("gates", "importance", "mean_bits")
        return {name: getattr(self, name).clone() for name in names}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the tensors of `state_dict`; the network's state has the bits."""
        for name, tensor in state.items():
            getattr(self, name).copy_(tensor)
