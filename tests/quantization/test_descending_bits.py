"""Bits that descend by gradients: turns, finite differences, cost, and where they end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from snnquant.errors import InputError
from snnquant.exporters.deployed import PLAIN
from snnquant.quantization import activation_bits, layer_bits, quantize
from snnquant.quantization.allocated_activations import AllocatedReLU
from snnquant.quantization.binary import AllocatedWeight
from snnquant.quantization.descending_bits import DescendingBits, MovingBits
from snnquant.quantization.methods import AdaQAT


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)
    )


def task() -> tuple[Tensor, Tensor]:
    x = torch.randn(96, 12, generator=torch.Generator().manual_seed(1))
    return x, (x[:, :3] + 0.5 * x[:, 3:6]).argmax(1)


def fit(
    config: AdaQAT, epochs: int = 12
) -> tuple[nn.Module, DescendingBits, list[tuple[int, ...]]]:
    """Train on all of the task in each of 20 steps per epoch; return the bits of every epoch."""
    x, y = task()
    made = quantize(network(), config)
    rule, seen = DescendingBits(made, config), []
    optimizer = torch.optim.AdamW(made.parameters(), 0.01)
    for _ in range(epochs):
        for _ in range(20):
            made.train()
            optimizer.zero_grad()
            functional.cross_entropy(made(x), y).backward()
            made.eval()
            rule.compare(lambda: functional.cross_entropy(made(x), y).item())
            optimizer.step()
        rule.after_epoch(0.0)
        seen.append(tuple(number.bits for number in rule.numbers))
    return made, rule, seen


def test_bits_descend_and_stop() -> None:
    config = AdaQAT(hardware=1.0, moving_epochs=6)
    made, rule, seen = fit(config)
    assert all(8 > bits >= 2 for bits in seen[5])
    assert seen[5:] == [seen[5]] * 7
    assert rule.allows()
    assert set(layer_bits(made).values()) == {seen[-1][0]}
    assert set(activation_bits(made).values()) == {seen[-1][1]}


def test_more_weight_of_the_hardware_never_gives_more_bits() -> None:
    ends = []
    for hardware in (0.0, 0.1, 0.3, 1.0, 3.0, 10.0):
        _, rule, _ = fit(AdaQAT(hardware=hardware, bits_rate=1.0, moving_epochs=8), epochs=8)
        ends.append([number.bits for number in rule.numbers])
    for before, after in pairwise(ends):
        assert all(b >= a for b, a in zip(before, after, strict=True)), ends
    assert max(ends[-1]) < min(ends[0])


def rule_with_losses(
    config: AdaQAT, loss_of: Callable[[int, int], float]
) -> tuple[DescendingBits, Callable[[], float]]:
    made = quantize(network(), config)
    rule = DescendingBits(made, config)
    made.train()(task()[0])
    layers: Any = made
    weights: Any = layers[0].parametrizations.weight[0]
    return rule, lambda: loss_of(weights.bits, layers[1].bits)


def test_differences_are_taken_in_every_tenth_step_of_the_loss_at_one_bit_less() -> None:
    config = AdaQAT(hardware=2.0, bits_rate=0.5)
    asked: list[tuple[int, int]] = []

    def loss_of(weights: int, activations: int) -> float:
        asked.append((weights, activations))
        return 1.0 / weights + 2.0 / activations

    rule, loss = rule_with_losses(config, loss_of)
    for _ in range(9):
        rule.compare(loss)
    assert not asked
    # The first layer's inputs have 16 bits; 12 and 16 inputs of 16 and 3 outputs.
    work = {8: 192 * 16 * 8 + (256 + 48) * 64, 7: 192 * 16 * 7 + (256 + 48) * 56}
    fewer = 192 * 16 * 8 + (256 + 48) * 56
    rule.compare(loss)
    assert asked == [(8, 8), (7, 8), (8, 7)]
    slopes = [
        1 / 8 - 1 / 7 + 2.0 * (1 - work[7] / work[8]),
        2 / 8 - 2 / 7 + 2.0 * (1 - fewer / work[8]),
    ]
    found = [number.state[0].item() for number in rule.numbers]
    assert found == pytest.approx([8 - 0.5 * slope for slope in slopes])
    for _ in range(9):
        rule.compare(loss)
    assert len(asked) == 3


def test_bits_rise_where_the_loss_asks_for_them() -> None:
    """At the lowest bits the difference is that to one bit more."""
    config = AdaQAT(bits=2, activation_bits=2, interval=1, hardware=0.1, bits_rate=1.0)
    rule, loss = rule_with_losses(config, lambda weights, activations: 8.0 - weights)
    rule.compare(loss)
    assert [number.bits for number in rule.numbers] == [3, 2]


def test_turns_freeze_the_upper_bits() -> None:
    number = MovingBits([AllocatedWeight(bits=4)], swings=3)
    number.state[0] = 4.5
    seen = []
    for change in (-0.7, 0.7, -0.7, 0.7):
        number.move(change)
        seen.append((number.bits, number.frozen))
    assert seen == [(4, False), (5, False), (4, False), (5, True)]
    down = MovingBits([AllocatedWeight(bits=8)], swings=1)
    for _ in range(10):
        down.move(-1.0)
    assert (down.bits, down.frozen) == (2, False)  # one direction has no turns


def test_a_frozen_rule_looks_no_more() -> None:
    config = AdaQAT(interval=1, moving_epochs=1)
    rule, loss = rule_with_losses(config, lambda weights, activations: 1.0)
    rule.compare(loss)
    rule.after_epoch(0.0)
    assert not rule.allows()

    def fail() -> float:
        raise AssertionError

    rule.compare(fail)
    rule.after_epoch(0.0)
    assert rule.allows()


def test_allocated_activations_keep_their_ceiling() -> None:
    relu = AllocatedReLU(bits=8)
    relu.start(torch.rand(100) * 3)
    ceiling = relu.ceiling.item()
    values = torch.linspace(-1, 4, 200)
    for bits in (8, 3, 1):
        relu.bits = bits
        again = AllocatedReLU(bits=8)
        again.load_state_dict(relu.state_dict())
        plain = copy.deepcopy(relu)
        plain.__class__ = PLAIN[AllocatedReLU]  # type: ignore[assignment]
        for one in (relu, again, copy.deepcopy(relu), plain):
            out = one.eval()(values)
            assert len(out.unique()) <= 2**bits
            assert out.max().item() == pytest.approx(ceiling)
            assert one.bits == bits


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 32}, "--quantization.bits: found 32, expected 2 to 8"),
        ({"hardware": -1.0}, "--quantization.hardware: found -1.0, expected 0 or more"),
        ({"interval": 0}, "--quantization.interval: found 0, expected at least 1"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AdaQAT(**options)
