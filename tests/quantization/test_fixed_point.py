"""Mathematics of training in fixed point: levels, rounding at random, updates on the grid."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization import Calibration, Plan, quantize
from snnquant.quantization.backward import quantized_errors
from snnquant.quantization.descent import at_random, nearest_power
from snnquant.quantization.fixed_point import (
    FixedPointDescent,
    FixedPointError,
    FixedPointReLU,
    FixedPointWeight,
    range_of,
)
from snnquant.quantization.methods.eoq import EOQ

SPOTS = [[0.0, 2.0], [2.0, 0.0], [0.0, -2.0], [-2.0, 0.0]]


def spots(count: int = 128) -> tuple[Tensor, Tensor]:
    """Return points around four spots of a plane, and their spots."""
    classes = torch.arange(count) % len(SPOTS)
    noise = 0.4 * torch.randn(count, 2, generator=torch.Generator().manual_seed(0))
    return torch.tensor(SPOTS)[classes] + noise, classes


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 4))


def trained(config: EOQ, steps: int = 120) -> tuple[nn.Module, float]:
    """Return a network after steps of full-batch training, and its accuracy."""
    x, classes = spots()
    plan: Plan = config.plan()
    model = quantize(network(), config, Calibration(x)).train()
    assert plan.optimizer is not None
    descent = plan.optimizer(model, config.learning_rate, config.weight_decay)
    for _ in range(steps):
        descent.zero_grad()
        with quantized_errors(model, plan.error):
            nn.functional.cross_entropy(model(x), classes).backward()
        descent.step()
    return model, (model(x).argmax(1) == classes).double().mean().item()


@given(st.floats(-50, 50), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_rounding_at_random_keeps_the_mean(value: float, seed: int) -> None:
    torch.manual_seed(seed)
    rounded = at_random(torch.full((4000,), value))
    low = torch.tensor(value).floor().item()
    assert set(rounded.unique().tolist()) <= {low, low + 1}
    assert rounded.mean().item() == pytest.approx(value, abs=0.05)


def test_the_nearest_power_of_two_is_that_of_the_logarithm() -> None:
    found = nearest_power(torch.tensor([1.41, 1.42, 0.36, 0.25, 0.0]))
    assert found[:4].tolist() == [1, 2, 0.5, 0.25]
    assert 0 < found[4] < 1e-37


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_and_errors_have_their_levels(bits: int) -> None:
    values = 3 * torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    n = 2 ** (bits - 1)
    weight = FixedPointWeight(values, bits, "layer")(values) / range_of(values, "layer") * n
    top = nearest_power(values.abs().amax())
    error = FixedPointError(bits).quantize(values) / top * n
    for codes in (weight, error):
        assert torch.equal(codes, codes.round())
        assert codes.abs().max() <= n - 1
    inside = (values / top).abs() < 1 - 1 / n
    assert ((error / n * top - values).abs() <= top / n / 2 * 1.001)[inside].all()


def test_published_levels_are_multiples_of_one_128th() -> None:
    weight = FixedPointWeight(torch.zeros(1), 8, "unit")(torch.tensor([1.0, 0.5, -7.0, 3e-3]))
    assert (128 * weight).tolist() == [127, 64, -127, 0]
    relu = FixedPointReLU(8, "unit")
    assert (128 * relu(torch.tensor([-1.0, 0.5, 1.99, 9.0]))).tolist() == [0, 64, 255, 255]


def test_errors_of_nothing_stay_nothing() -> None:
    assert torch.equal(FixedPointError(8).quantize(torch.zeros(3)), torch.zeros(3))


def test_all_that_is_stored_stays_on_eight_bits() -> None:
    model, accuracy = trained(EOQ(range="unit", learning_rate=0.05), steps=40)
    assert accuracy > 0.9
    for layer in (model[0], model[2]):
        for stored in (layer.parametrizations.weight.original, layer.bias):
            codes = 128 * stored.detach()
            assert torch.equal(codes, codes.round())
            assert codes.abs().max() <= 127
        assert torch.equal(layer.weight, layer.parametrizations.weight.original)


def test_momenta_stay_on_eight_bits() -> None:
    config = EOQ(range="unit")
    model = quantize(network(), config, Calibration(spots()[0]))
    descent = FixedPointDescent(model, 0.05, 0.0, config)
    for step in range(5):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape) * 10.0 ** (step - 2)
        descent.step()
    kept = [state["momentum"] for state in descent.state.values() if "momentum" in state]
    assert len(kept) == 4
    for momentum in kept:
        assert torch.equal(momentum, momentum.round())
        assert 0 < momentum.abs().max() <= 127


def test_small_updates_are_lost_to_the_nearest_and_not_at_random() -> None:
    """At most 0.45 steps of a weight: to the nearest, nothing ever moves after the first step."""
    options = {"range": "unit", "learning_rate": 0.45 / 128}
    start = trained(EOQ(update="nearest", **options), steps=1)[0]
    stalled, low = trained(EOQ(update="nearest", **options), steps=250)
    moved, high = trained(EOQ(**options), steps=250)
    pairs = zip(start.parameters(), stalled.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(start[0].weight, moved[0].weight)
    assert high > 0.95 > low + 0.1


def test_updates_at_random_are_right_on_average() -> None:
    """One weight and a constant gradient: the mean path falls by the rate at every step."""
    config = EOQ(range="unit", momentum=0.0)
    layer = nn.Linear(1, 2000, bias=False)
    nn.init.constant_(layer.weight, 0.5)
    quantize(layer, config)
    descent = FixedPointDescent(layer, 0.001, 0.0, config)
    weight = layer.parametrizations.weight.original
    for _ in range(50):
        weight.grad = torch.full_like(weight, 4.0)
        descent.step()
    # The largest gradient is the top of its range: its code is 127 of 128.
    assert weight.mean().item() == pytest.approx(0.5 - 50 * 0.001 * 127 / 128, abs=2e-3)


def test_batch_norm_is_refused_in_a_line() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    quantize(model, EOQ())
    with pytest.raises(InputError, match=r"layer 1: found BatchNorm1d, .* fold it") as caught:
        FixedPointDescent(model, 0.1, 0.0, EOQ())
    assert "\n" not in str(caught.value)


def test_neurons_move_by_adamw() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Module()
    model.layer, model.leak = layer, nn.Parameter(torch.tensor(0.9))
    quantize(model, EOQ())
    descent = FixedPointDescent(model, 0.1, 0.0, EOQ(neuron_rate=0.01))
    model.leak.grad = torch.tensor(3.0)
    descent.step()
    assert model.leak.item() == pytest.approx(0.89, abs=1e-6)
