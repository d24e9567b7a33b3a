"""Pruning at initialisation: scores, layers that empty, and rescaling."""

from __future__ import annotations

import copy

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from snnquant.quantization.edge_of_chaos import (
    clear,
    draw_weights,
    largest,
    layer_rms,
    rescale_to_rms,
    rescale_to_variance,
    weight_scores,
    weights_of,
)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    """Return 1,797 images of digits [N, 64] and their classes, in a random order."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    return torch.tensor(data.data, dtype=torch.float32)[order] / 16, torch.tensor(data.target)[
        order
    ]


def deep_network(depth: int, activation: type[nn.Module], width: int = 100) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs in (64, *(width for _ in range(depth - 2))):
        layers += [nn.Linear(inputs, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def kept_shares(
    depth: int, sigma_w: float, data: tuple[Tensor, Tensor], seed: int = 0
) -> list[float]:
    """Return the share of weights that each layer of a tanh network keeps of 10 % of all."""
    network = deep_network(depth, nn.Tanh)
    draw_weights(network, sigma_w, 0.0, seed)
    x, y = (values[:256] for values in data)
    masks = largest(weight_scores(network, x, y), 0.1)
    return [mask.double().mean().item() for mask in masks.values()]


def test_deep_networks_lose_whole_layers_in_chaos_and_none_on_its_edge(
    digits: tuple[Tensor, Tensor],
) -> None:
    in_chaos, on_edge = (kept_shares(50, sigma, digits) for sigma in (2.0, 1.0))
    assert 15 <= in_chaos.count(0) <= 35
    assert min(on_edge) > 0.03


def test_bias_free_relu_networks_have_the_same_ranking_at_any_deviation(
    digits: tuple[Tensor, Tensor],
) -> None:
    x, y = (values[:64] for values in digits)
    masks = []
    for sigma in (1.0, 2.0):
        network = deep_network(4, nn.ReLU, 32)
        draw_weights(network, sigma, 0.0, seed=0)
        # With small logits the loss is linear in them, and they are homogeneous in every layer.
        network[-1].weight.data.mul_(1e-3)
        masks.append(largest(weight_scores(network, x, y), 0.2))
    agree = [(a == b).double().mean().item() for a, b in zip(*map(dict.values, masks), strict=True)]
    assert min(agree) > 0.99


def test_scores_are_weights_times_finite_differences() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    network[0].weight.requires_grad_(False)
    x, y = torch.randn(300, 4, dtype=torch.float64), torch.randint(3, (300,))
    scores = weight_scores(network, x, y)
    assert not network[0].weight.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    for name, weight in weights_of(network).items():
        for place in [(0, 0), (2, 3)]:
            losses = []
            for step in (1e-6, -1e-6):
                moved = copy.deepcopy(network)
                moved.get_submodule(name).weight.data[place] += step  # type: ignore[operator,index]
                losses.append(functional.cross_entropy(moved(x), y).item())
            slope = (losses[0] - losses[1]) / 2e-6
            expected = abs(slope * weight[place].item())
            assert scores[name][place].item() == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_masks_keep_the_wanted_number_of_weights_also_among_ties() -> None:
    masks = largest({"a": torch.zeros(3, 5), "b": torch.ones(2)}, 0.25)
    assert sum(int(mask.sum()) for mask in masks.values()) == round(0.25 * 17)
    assert masks["b"].all()


def test_rescaling_returns_every_layer_to_its_variance_and_keeps_zeros() -> None:
    network = nn.Sequential(nn.Conv2d(2, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(54, 4))
    draw_weights(network, 1.3, 0.1, seed=3)
    masks = {n: w.abs() > w.abs().median() for n, w in weights_of(network).items()}
    clear(network, masks)
    rescale_to_variance(network, 1.3)
    for name, weight in weights_of(network).items():
        variance = weight[0].numel() * weight.detach().square().mean().item()
        assert variance == pytest.approx(1.3**2, rel=1e-5)
        assert torch.equal(weight != 0, masks[name])


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_rescaling_by_size_gives_the_dense_layers_outputs_their_size_back(
    activation: type[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    network = deep_network(6, activation)
    draw_weights(network, 1.4, 0.2, seed=0)
    x, y = (values[:128] for values in digits)
    dense = layer_rms(network, x)
    clear(network, largest(weight_scores(network, x, y), 0.2))
    assert layer_rms(network, x) != pytest.approx(dense, rel=0.05)
    rescale_to_rms(network, x, dense)
    assert layer_rms(network, x) == pytest.approx(dense, rel=1e-4)


@pytest.mark.slow
def test_only_rescaled_sparse_networks_of_20_layers_learn(digits: tuple[Tensor, Tensor]) -> None:
    scores = {rescaled: _accuracy_after_training(rescaled, digits) for rescaled in (False, True)}
    assert scores[True] > 0.9
    assert scores[False] < 0.7


def _accuracy_after_training(rescaled: bool, data: tuple[Tensor, Tensor]) -> float:
    """Return the share of 597 test images that a network with 10 % of its weights gets right."""
    x, y = data
    network = deep_network(20, nn.Tanh)
    draw_weights(network, 1.0, 0.0, seed=0)
    masks = largest(weight_scores(network, x[:1200], y[:1200]), 0.1)
    clear(network, masks)
    if rescaled:
        rescale_to_variance(network, 1.0)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(15):
        for batch in torch.randperm(1200, generator=order).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
            clear(network, masks)
    return (network(x[1200:]).argmax(1) == y[1200:]).double().mean().item()
