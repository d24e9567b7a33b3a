"""Gates of bits per layer: the budget, directions, and the network's own cost table."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, TrainingConfig
from snnquant.conversion import fold_batch_norm, to_spiking
from snnquant.energy import COSTS, measure
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.quantization import QuantizationConfig, layer_bits, quantize
from snnquant.quantization.gated_bits import GatedBits
from snnquant.quantization.methods import CGMQ
from snnquant.quantization.product_counts import ProductCounts
from snnquant.sampling import Normalisation, Patches
from snnquant.training import Samples, Stage, train

SIZES = (20, 24, 16, 3)
PRODUCTS = [a * b for a, b in itertools.pairwise(SIZES)]


def dense(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    pairs = itertools.pairwise(SIZES)
    layers = [part for a, b in pairs for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


@pytest.fixture(scope="module")
def samples() -> Samples:
    one, draw = np.ones(20, np.float32), np.random.default_rng(0)
    cube = draw.normal(size=(8, 8, 20)).astype(np.float32)
    patches = Patches(cube, 1, Normalisation(0 * one, one))
    return Samples(patches, torch.arange(64), torch.tensor(cube.reshape(64, -1)[:, :3].argmax(1)))


def mean_bits(network: nn.Module) -> float:
    """Return the budget that a network with inputs of equal bits needs."""
    bits = layer_bits(network).values()
    return sum(b * n for b, n in zip(bits, PRODUCTS, strict=True)) / sum(PRODUCTS)


@pytest.mark.parametrize("seed", range(20))
def test_the_budget_holds_at_the_end(seed: int, samples: Samples, tmp_path: Path) -> None:
    budget = float(np.random.default_rng(seed).uniform(2, 8.5))
    config = CGMQ(budget=budget, gate_rate=0.7, activation_bits=32)
    network = quantize(dense(seed), config)
    rules = [make(network) for make in config.plan().rules]
    stage = Stage("gates", epochs=6, rate=0.01)
    training = TrainingConfig(batch_size=16, weight_decay=1e-3, distillation=0.0)
    rows = train(
        network, samples, samples, stage, training, tmp_path / "state", rules=rules, seed=seed
    )
    assert rows[0].allowed
    assert mean_bits(network) <= budget + 1e-9
    assert set(layer_bits(network).values()) <= {2, 4, 8}
    if not budget.is_integer() and 2.3 < budget < 3.5:
        assert not all(row.allowed for row in rows)  # gates went past the budget and came back


def test_gates_that_pass_the_budget_close_again() -> None:
    config = CGMQ(budget=4.5, gate_rate=0.5, activation_bits=32)
    network = quantize(dense(0), config)
    rule = GatedBits(network, config)
    x, seen = torch.randn(16, 1, 20), []
    for _ in range(30):
        network.train()(x).square().mean().backward()
        rule.before_step()
        network(x)
        rule.after_epoch(0.0)
        seen.append((mean_bits(network), rule.allows()))
    assert all(allowed == (bits <= 4.5) for bits, allowed in seen)
    assert {allowed for _, allowed in seen} == {True, False}
    runs = "".join("x" if allowed else "-" for _, allowed in seen)
    assert "-" * 5 not in runs


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.floats(0.05, 2),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=30)
def test_large_gradients_open_more_and_close_less(
    importance: list[float], rate: float, within: bool, seed: int
) -> None:
    config = CGMQ(budget=4.0, gate_rate=rate)
    network = quantize(dense(seed), config)
    rule = GatedBits(network, config)
    before = rule.gates.clone()
    rule.move(torch.tensor(importance, dtype=torch.float64), within=within)
    change = rule.gates - before
    assert (change >= 0).all() if within else (change <= 0).all()
    order = torch.tensor(importance).argsort(stable=True)
    assert (change[order].diff() >= -1e-12).all()
    assert rule.gates.min() >= 0.5
    bits = [2 if gate <= 1 else 4 if gate <= 2 else 8 for gate in rule.gates.tolist()]
    assert list(layer_bits(network).values()) == bits


def test_the_smallest_layer_does_not_take_all_bits() -> None:
    """Its gradient per weight is the largest by far; the cost of its bits is the smallest."""
    config = CGMQ(budget=5.0, gate_rate=0.5, activation_bits=32)
    network = quantize(dense(0), config)
    rule = GatedBits(network, config)
    for _ in range(40):
        network.train()(torch.randn(8, 1, 20))
        rule.before_step()
        rule._gradients = torch.tensor([1.0, 1.5, 5.0], dtype=torch.float64)
        rule.after_epoch(0.0)
        if rule.allows():
            bits: list[int] = list(layer_bits(network).values())
    assert max(bits[:2]) >= 4
    assert bits[2] <= 8
    assert mean_bits(network) >= 3


def test_a_budget_below_two_bits_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        CGMQ(budget=1.9)
    assert str(caught.value) == (
        "--quantization.budget: found 1.9, expected at least 2, that of all layers at 2 bits"
    )
    with pytest.raises(InputError, match="bits: found 6, expected 2, 4 or 8"):
        CGMQ(bits=6)


MODEL = ModelConfig(name="cnn32h", window=3, widths=(4, 4, 4, 4))


@pytest.mark.parametrize("spiking", [False, True])
def test_the_effort_is_that_of_the_cost_table(spiking: bool, samples: Samples) -> None:
    torch.manual_seed(0)
    network: Any = fold_batch_norm(build_model(MODEL, 20, 3, batch_norm=True).eval())
    if spiking:
        network = to_spiking(network, torch.zeros(1, 1, 20, 3, 3), NeuronConfig(time_steps=3))
    cube = np.random.default_rng(1).normal(size=(6, 6, 20)).astype(np.float32)
    one = np.ones(20, np.float32)
    patches, pixels = Patches(cube, 3, Normalisation(0 * one, one)), torch.arange(36)
    quantize(network, QuantizationConfig(bits=5, activation_bits=3))
    for module in network.modules():  # as rare as spikes are here, dropout would change the mean
        if isinstance(module, nn.Dropout):
            module.p = 1e-9
    counts = ProductCounts(network)
    inputs = patches.gather(pixels)
    with torch.no_grad():
        network(inputs)  # in evaluation mode nothing is counted
        assert counts.effort(layer_bits(network)) == 0
        network.train()(inputs)
    table = COSTS.get("ns_ace" if spiking else "ace")
    rows = measure(network.eval(), patches, pixels, pixel_bits=16)
    expected = table.of(rows)
    assert counts.effort(layer_bits(network)) / 36 == pytest.approx(expected, rel=1e-5)
