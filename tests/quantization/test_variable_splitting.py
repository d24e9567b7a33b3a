"""Proximal maps against brute force, and the rule that deploys sparse copies of weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.checkpoints.tensorfile import read_tensors
from snnquant.config import ModelConfig, TrainingConfig
from snnquant.conversion import fold_batch_norm
from snnquant.energy import measure, operations
from snnquant.models import build_model
from snnquant.quantization import Calibration, install, quantize, weight_codes
from snnquant.quantization.masked import MaskedWeight
from snnquant.quantization.methods import RVSM, FilterPruning
from snnquant.quantization.variable_splitting import (
    VariableSplitting,
    nearest_l0,
    nearest_l1,
    nearest_tl1,
)
from snnquant.sampling import Normalisation, Patches
from snnquant.training import Samples, Stage, train

Penalty = Callable[[Tensor], Tensor]


def brute_force(weight: float, strength: float, penalty: Penalty) -> tuple[float, float]:
    """Return the best value of l P(u) + (u - w)^2 / 2 over a fine grid, and its argument."""
    u = torch.linspace(-5, 5, 200_001, dtype=torch.float64)
    u[100_000] = 0.0  # exactly
    values = strength * penalty(u) + (u - weight).square() / 2
    place = int(values.argmin())
    return values[place].item(), u[place].item()


def objective(u: Tensor, weight: float, strength: float, penalty: Penalty) -> float:
    return (strength * penalty(u) + (u - weight).square() / 2).item()


weights = st.floats(-4, 4, allow_subnormal=False)
strengths = st.floats(0.001, 3)


@given(weights, strengths, st.floats(0.05, 20), st.sampled_from(["l0", "l1", "tl1"]))
def test_proximal_maps_are_brute_forces_minimum(
    weight: float, strength: float, shape: float, name: str
) -> None:
    penalties: dict[str, tuple[Penalty, Callable[[Tensor, float], Tensor]]] = {
        "l0": (lambda u: (u != 0).double(), nearest_l0),
        "l1": (lambda u: u.abs(), nearest_l1),
        "tl1": (
            lambda u: (shape + 1) * u.abs() / (shape + u.abs()),
            lambda w, strength: nearest_tl1(w, strength, shape),
        ),
    }
    penalty, nearest = penalties[name]
    found = nearest(torch.tensor(weight, dtype=torch.float64), strength)
    least, place = brute_force(weight, strength, penalty)
    # The grid's step bounds how far brute force is above the true minimum.
    reached = objective(found, weight, strength, penalty)
    assert reached <= least + 1e-9
    assert reached >= least - 1e-3 * strength * (1 + 1 / shape) - 1e-4
    if abs(found.item() - place) > 2e-3:  # two minima of one value, at the threshold
        zero = objective(torch.zeros((), dtype=torch.float64), weight, strength, penalty)
        assert reached == pytest.approx(zero, abs=2e-3 * strength * (1 + 1 / shape) + 1e-3)


def test_maps_meet_at_the_ends_of_the_shape() -> None:
    """A large shape is l1; a small one leaves large weights as l0 does."""
    weight = torch.linspace(-3, 3, 61, dtype=torch.float64)
    torch.testing.assert_close(
        nearest_tl1(weight, 0.4, 1e5), nearest_l1(weight, 0.4), atol=1e-4, rtol=0
    )
    small, hard = nearest_tl1(weight, 0.4, 1e-5), nearest_l0(weight, 0.4)
    torch.testing.assert_close(small, hard, atol=1e-3, rtol=0)


def layer(config: RVSM) -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(200, 4))
    quantize(network, config)
    return network


@pytest.mark.parametrize("penalty", ["l0", "l1", "tl1"])
def test_a_step_draws_weights_to_their_copies(penalty: str) -> None:
    network = layer(RVSM(penalty=penalty, pull=0.25))  # type: ignore[arg-type]
    config = RVSM(penalty=penalty, pull=0.25)  # type: ignore[arg-type]
    rule = VariableSplitting(network, config)
    weight = rule.layers[0][1]
    before = weight.detach().clone()
    copy = rule.sparse(before)
    rule.after_step()
    torch.testing.assert_close(weight.detach(), before - 0.25 * (before - copy))
    scaled = rule.sparse(8 * before)
    assert torch.equal(scaled, 8 * copy)  # units of the layer's own size


def test_the_copy_is_deployed_and_the_weights_come_back() -> None:
    config = RVSM(strength=0.3)
    network = layer(config)
    rule = VariableSplitting(network, config)
    quantizer, weight = rule.layers[0]
    before = weight.detach().clone()
    unit = before.square().mean().sqrt()
    with rule.deployed():
        kept = before.abs() > math.sqrt(0.6) * unit
        assert 0.1 < kept.float().mean() < 0.9
        assert torch.equal(quantizer.mask.bool(), kept)
        torch.testing.assert_close(weight.detach(), before * kept)
        codes = weight_codes(network[0])
        assert not codes.decode()[~kept].any()
    assert torch.equal(weight.detach(), before)
    assert quantizer.mask.all()


def small_cnn() -> nn.Module:
    torch.manual_seed(0)
    model = ModelConfig(name="cnn32h", window=3, widths=(4, 4, 4, 4))
    return fold_batch_norm(build_model(model, 20, 3, batch_norm=True).eval())


@pytest.fixture(scope="module")
def samples() -> Samples:
    one, draw = np.ones(20, np.float32), np.random.default_rng(0)
    cube = draw.normal(size=(8, 8, 20)).astype(np.float32)
    patches = Patches(cube, 3, Normalisation(0 * one, one))
    return Samples(patches, torch.arange(64), torch.arange(64) % 3)


def test_a_trained_network_keeps_its_zeros_and_they_cost_nothing(
    samples: Samples, tmp_path
) -> None:
    config = RVSM(strength=0.3, pull=0.05)
    network = quantize(small_cnn(), config)
    rules = [make(network) for make in config.plan().rules]
    stage, file = Stage("sparse", epochs=3, rate=0.01), tmp_path / "state"
    training = TrainingConfig(batch_size=16, weight_decay=5e-4, distillation=0.0)
    train(network, samples, samples, stage, training, file, rules=rules)
    kept = {k: v for k, v in network.state_dict().items() if k.endswith("mask")}
    assert 0.1 < torch.cat([mask.flatten() for mask in kept.values()]).mean() < 0.8
    stored, _ = read_tensors(file)
    assert all(stored[f"network.{name}"].all() for name in kept)  # training continues dense
    again = install(small_cnn(), config)
    again.load_state_dict(network.state_dict())
    patch = samples.patches.gather(samples.indices[:4])
    assert torch.equal(again(patch), network(patch))

    rows = measure(network, samples.patches, samples.indices[:4])
    for row in rows:
        mask = kept[f"{row.info.name}.parametrizations.weight.0.mask"]
        products = row.operations()[row.synaptic]
        assert products == pytest.approx(row.mac * mask.mean().item())
    dense = measure(small_cnn(), samples.patches, samples.indices[:4])
    assert operations(rows) == operations(dense)  # products of the dense network, as ever


def test_zeros_of_pruned_filters_cost_nothing_either(samples: Samples) -> None:
    network = quantize(
        small_cnn(), FilterPruning(keep=0.5), Calibration(samples.patches.gather(samples.indices))
    )
    masks = {
        name: module.mask for name, module in network.named_modules()
        if isinstance(module, MaskedWeight)
    }  # fmt: skip
    for row in measure(network, samples.patches, samples.indices[:4]):
        share = masks[f"{row.info.name}.parametrizations.weight.0"].mean().item()
        assert row.operations()[row.synaptic] == pytest.approx(row.mac * share)
