from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import to_spiking
from snnquant.models import build_model
from snnquant.quantization.grids import Grid, quantize_symmetric
from snnquant.quantization.passes.adaround import pull, round_adaptively, soft
from snnquant.quantization.passes.layers import apply, by_channel, latent, layer_inputs
from snnquant.quantization.passes.ranges import cross_entropy_grid, logits_range


def logits_error(network: nn.Module, plain: nn.Module, x: Tensor) -> float:
    return (network(x) - plain(x)).square().mean().item()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_digits_keep_their_logits_better_than_with_nearest(
    bits: int, mlp: Any, digits: Any, on_grids: Any
) -> None:
    x = digits[0]
    plain = copy.deepcopy(mlp)
    nearest = on_grids(mlp, bits)
    rounded = copy.deepcopy(nearest)
    round_adaptively(rounded, x[:1000], 400)
    assert logits_error(rounded, plain, x[1200:]) < 0.7 * logits_error(nearest, plain, x[1200:])


def test_a_weight_goes_one_level_up_or_down_and_stays_on_the_grid(
    mlp: Any, digits: Any, on_grids: Any
) -> None:
    network = on_grids(mlp, 3)
    before = {n: latent(network[n]).detach().clone() for n in (0, 2, 4)}
    nearest = {n: network[n].weight.detach() for n in (0, 2, 4)}
    round_adaptively(network, digits[0][:300], 100)
    moved = 0
    for n, weight in before.items():
        layer = network[n]
        grid: Grid = layer.parametrizations.weight[0].grid(weight)
        down = torch.floor(weight / grid.scale)
        codes = torch.round(layer.weight / grid.scale)
        assert torch.equal(layer.weight, codes * grid.scale)
        assert torch.equal(latent(layer), layer.weight)  # code = round(w / s) exactly
        assert ((codes - down.clamp(-3, 3)) * (codes - (down + 1).clamp(-3, 3)) == 0).all()
        moved += int((layer.weight != nearest[n]).sum())
    assert moved > 100


def test_a_reloaded_network_is_the_same_bit_for_bit(mlp: Any, digits: Any, on_grids: Any) -> None:
    x = digits[0][:300]
    other = on_grids(copy.deepcopy(mlp), 4)
    network = on_grids(mlp, 4)
    round_adaptively(network, x, 50)
    assert not torch.equal(network(x), other(x))
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(x), other(x))


def test_rounding_is_the_same_every_time(mlp: Any, digits: Any, on_grids: Any) -> None:
    one, other = (on_grids(copy.deepcopy(mlp), 3) for _ in range(2))
    for network in (one, other):
        round_adaptively(network, digits[0][:300], 30)
        torch.rand(5)
    assert torch.equal(one(digits[0]), other(digits[0]))


def test_an_snn_is_rounded_for_its_own_spikes(on_grids: Any) -> None:
    torch.manual_seed(0)
    config = ModelConfig(name="cnn3d", widths=(4, 5, 6, 7))
    spectra = torch.randn(60, 1, 1, 5, 5)  # neighbouring bands are nearly equal
    x = 3 * (spectra + 0.2 * torch.randn(60, 1, 40, 5, 5))
    snn = to_spiking(build_model(config, 40, 5), x, NeuronConfig(time_steps=3))
    nearest = on_grids(snn, 3)
    rounded = copy.deepcopy(nearest)
    round_adaptively(rounded, x, 200)
    for name in ("layers.conv1", "layers.classifier"):
        layer, old = rounded.get_submodule(name), nearest.get_submodule(name)
        given = torch.cat(list(layer_inputs(rounded, name, x)))
        with torch.no_grad():
            true = apply(layer, given, latent(old))
            errors = [apply(layer, given, m.weight) - true for m in (layer, old)]  # type: ignore[arg-type]
        new, before = (by_channel(layer, e).square().mean().item() for e in errors)
        assert new < 0.9 * before


def test_the_pull_is_off_first_and_sharpens() -> None:
    h = torch.tensor([0.0, 0.1, 0.5])
    assert pull(h, 0.19) == 0
    start, end = pull(h, 0.2), pull(h, 1.0)
    assert torch.allclose(start, 2 - torch.tensor(0.8).pow(20))
    assert torch.allclose(end, 2 - torch.tensor(0.8).pow(2))


def test_soft_rounding_reaches_both_ends() -> None:
    assert soft(torch.tensor([-3.0, 0.0, 3.0])).tolist() == [0, 0.5, 1]


def test_logits_get_the_range_of_least_cross_entropy(mlp: Any, digits: Any, on_grids: Any) -> None:
    x = digits[0][:300]
    network = on_grids(mlp, 3)
    found = logits_range(network, "4", 3, x, per_channel=False)
    hidden = torch.cat(list(layer_inputs(network, "4", x)))
    weight, bias = latent(network[4]).detach(), network[4].bias.detach()
    wanted = (hidden @ weight.T + bias).softmax(1)

    def loss(grid: Grid) -> float:
        logits = hidden @ grid.values(grid.codes(weight)).T + bias
        return float(-(wanted * logits.log_softmax(1)).sum(1).mean())

    by_hand = [
        loss(quantize_symmetric(weight, 3, per_channel=False, shrink=step / 100))
        for step in range(1, 101)
    ]
    assert loss(found) == pytest.approx(min(by_hand), rel=1e-5)
    assert min(by_hand) < by_hand[-1]


def test_equal_logits_keep_the_full_range() -> None:
    grid = cross_entropy_grid(torch.zeros(3, 4), 4, lambda w: torch.zeros(5, 3), per_channel=True)
    assert grid.scale.shape == (3, 1)
