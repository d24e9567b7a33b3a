"""Bits by gradient descent: the plan and the rule of AdaQAT."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.allocated_activations import AllocatedReLU
from snnquant.quantization.api import weight_quantizer
from snnquant.quantization.binary import AllocatedWeight
from snnquant.quantization.methods.adaqat import AdaQAT
from snnquant.quantization.plan import LayerPlace, Plan
from snnquant.quantization.product_counts import ProductCounts
from snnquant.quantization.rules import Rule

LEAST, MOST = 2, 8
"""Bits between which both numbers move; activations that start below stay there."""


def plan(config: AdaQAT) -> Plan:
    """Return weights and activations of one number of bits each, and the rule that moves them."""

    def activation(place: LayerPlace) -> QuantizedReLU:
        return AllocatedReLU(config.activation_bits)

    return Plan(
        lambda weight, place: AllocatedWeight(config.bits),
        activation=None if config.activation_bits == 32 else activation,
        rules=(partial(DescendingBits, config=config),),
    )


class _HasBits(Protocol):
    bits: int


class MovingBits:
    """Real number of bits, rounded up, that some quantizers share.

    Args:
        quantizers: Modules whose `bits` it sets.
        swings: Turns of the rounded number after which it stays at the upper value.

    >>> weights = [AllocatedWeight(bits=5), AllocatedWeight(bits=5)]
    >>> number = MovingBits(weights, swings=2)
    >>> for step in (-0.4, -0.8, 0.9, -0.9):  # 5, 4, 5, 4 bits
    ...     number.move(step)
    >>> bool(number.frozen), weights[0].bits
    (True, 5)
    """

    def __init__(self, quantizers: Sequence[_HasBits], swings: int) -> None:
        self.quantizers, self.swings = list(quantizers), swings
        start = float(self.quantizers[0].bits)
        self.least = min(LEAST, int(start))
        # value, direction of the last change, turns, frozen
        self.state = torch.tensor([start, 0.0, 0.0, 0.0], dtype=torch.float64)

    @property
    def bits(self) -> int:
        """Bits in use."""
        return math.ceil(self.state[0])

    @property
    def frozen(self) -> bool:
        """True where the bits change no more."""
        return bool(self.state[3])

    def move(self, change: float) -> None:
        """Change the number by at most one bit, and set the quantizers."""
        before = self.bits
        change = max(-1.0, min(1.0, change))
        self.state[0] = (self.state[0] + change).clamp(self.least, MOST)
        direction = self.bits - before
        if direction:
            self.state[2] += float(direction * self.state[1] < 0)
            self.state[1] = direction
        if self.state[2] >= self.swings:
            self.state[0] = max(before, self.bits)
            self.state[3] = 1
        self._set(self.bits)

    def freeze(self) -> None:
        """Keep the bits from now on."""
        self.state[3] = 1

    @contextmanager
    def at(self, bits: int) -> Iterator[None]:
        """Use other bits while the block runs."""
        self._set(bits)
        try:
            yield
        finally:
            self._set(self.bits)

    def _set(self, bits: int) -> None:
        for quantizer in self.quantizers:
            quantizer.bits = bits


class DescendingBits(Rule):
    """Rule that lowers bits by their share of the bit operations, and raises them by the loss.

    Every `interval` steps each number N takes a step against
    ``L(N) - L(N - 1) + hardware * (C(N) - C(N - 1)) / C(8)``: L is the loss of the step's batch, C
    are the bit operations.

    Args:
        network: Network with the quantizers of `plan`.
        config: Rates and weight of the hardware.
    """

    def __init__(self, network: nn.Module, config: AdaQAT) -> None:
        self.config = config
        found = {n: weight_quantizer(m) for n, m in network.named_modules()}
        self.weights = {n: q for n, q in found.items() if isinstance(q, AllocatedWeight)}
        activations = [m for m in network.modules() if isinstance(m, AllocatedReLU)]
        groups: list[Sequence[_HasBits]] = [list(self.weights.values()), activations]
        self.numbers = [MovingBits(group, config.swings) for group in groups if group]
        self.counts = ProductCounts(network)
        self.steps = torch.zeros(2, dtype=torch.int64)  # steps, epochs

    def cost(self, *bits: int) -> float:
        """Return bit operations over those at 8 bits, at bits of weights and activations."""
        activations = bits[1] if len(bits) > 1 else 1
        most = MOST if len(bits) > 1 else 1
        full = self.counts.effort(dict.fromkeys(self.weights, MOST), most)
        found = self.counts.effort(dict.fromkeys(self.weights, bits[0]), activations)
        return found / full if full else 0.0

    def compare(self, loss: Callable[[], float]) -> None:
        """Move the bits, in every `interval`-th step while they are not frozen."""
        self.steps[0] += 1
        due = self.steps[0] % self.config.interval == 0
        if not due or all(number.frozen for number in self.numbers):
            return
        now, bits = loss(), [number.bits for number in self.numbers]
        changes = []
        for place, number in enumerate(self.numbers):
            # The pair of bits that the number lies between; at its least, the pair above.
            other = bits[place] + (1 if bits[place] == number.least else -1)
            others = [*bits[:place], other, *bits[place + 1 :]]
            with number.at(other):
                gained = loss() - now
            gained += self.config.hardware * (self.cost(*others) - self.cost(*bits))
            changes.append(-self.config.bits_rate * gained / (other - bits[place]))
        for number, change in zip(self.numbers, changes, strict=True):
            if not number.frozen:
                number.move(change)
        self.counts.clear()

    def after_epoch(self, loss: float) -> None:
        """Count the epoch; freeze the bits at the end of their descent."""
        self.steps[1] += 1
        self.counts.clear()
        if self.steps[1] >= self.config.moving_epochs:
            for number in self.numbers:
                number.freeze()

    def allows(self) -> bool:
        """Return whether the epoch was one after the descent."""
        return bool(self.steps[1] > self.config.moving_epochs)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the counts of steps and the numbers of bits."""
        numbers = {str(i): number.state.clone() for i, number in enumerate(self.numbers)}
        return {"steps": self.steps.clone(), **numbers}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the tensors of `state_dict`; the network's state has the quantizers' bits."""
        self.steps.copy_(state["steps"])
        for i, number in enumerate(self.numbers):
            number.state.copy_(state[str(i)])
