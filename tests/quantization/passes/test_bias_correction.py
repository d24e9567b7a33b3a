from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn import GraphNetwork, evaluating, recording
from snnquant.nn.wiring import Sum
from snnquant.quantization.passes.bias_correction import correct_analytically, correct_empirically
from snnquant.quantization.passes.expectations import expected_inputs, rectified_mean
from snnquant.quantization.passes.layers import (
    apply,
    by_channel,
    floating,
    latent,
    layer_inputs,
    mean_input,
    synapses_in_order,
)


def mean_errors(network: nn.Module, biases: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Measure E[Q(W) x + b' - W x - b] of every channel on what its layer gets."""
    errors = {}
    for name, bias in biases.items():
        layer: Any = network.get_submodule(name)
        given = torch.cat(list(layer_inputs(network, name, x)))
        with torch.no_grad():
            gap = layer(given) - apply(layer, given, latent(layer), bias)
        errors[name] = by_channel(layer, gap).mean(1)
    return errors


def biases(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    names = synapses_in_order(network, x)
    return {n: network.get_submodule(n).bias.detach().clone() for n in names}  # type: ignore[operator, union-attr]


def cnn() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    config = ModelConfig(name="cnn3d", widths=(4, 5, 6, 7))
    return build_model(config, 40, 5), torch.randn(70, 1, 40, 5, 5)


def snn() -> tuple[nn.Module, Tensor]:
    network, x = cnn()
    return to_spiking(network, x, NeuronConfig(time_steps=3)), 3 * x


@pytest.mark.parametrize("build", [cnn, snn])
def test_the_mean_error_of_every_channel_is_zero(build: Any, on_grids: Any) -> None:
    network, x = build()
    before = biases(network, x)
    on_grids(network, 3)
    wrong = mean_errors(network, before, x)
    correct_empirically(network, x)
    right = mean_errors(network, before, x)
    for name in before:
        assert right[name].abs().max() < 1e-6
        assert wrong[name].abs().max() > 1e-4


def test_the_correction_is_the_formula_on_the_quantized_prefix(
    mlp: Any, digits: Any, on_grids: Any
) -> None:
    x = digits[0][:300]
    before = biases(mlp, x)
    on_grids(mlp, 2)
    correct_empirically(mlp, x)
    with torch.no_grad():
        hidden = mlp[1](mlp[0](x))
        error = (mlp[2].weight - mlp[2].parametrizations.weight.original) @ hidden.mean(0)
    assert torch.allclose(mlp[2].bias, before["2"] - error, atol=1e-6)


def test_corrected_digits_have_logits_nearer_to_the_true_ones(
    mlp: Any, digits: Any, on_grids: Any
) -> None:
    x = digits[0]
    plain = copy.deepcopy(mlp)
    on_grids(mlp, 2)
    corrected, analytic = copy.deepcopy(mlp), copy.deepcopy(mlp)
    correct_empirically(corrected, x[:1000])
    correct_analytically(analytic, x[:1000])

    def error(network: nn.Module) -> float:
        return (network(x[1200:]) - plain(x[1200:])).square().mean().item()

    assert error(corrected) < 0.6 * error(mlp)
    assert error(analytic) < 0.8 * error(mlp)


def test_a_rectified_gaussian_has_the_mean_of_its_formula() -> None:
    torch.manual_seed(0)
    mean, deviation = torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([0.5, 1.0, 3.0])
    draws = (mean + deviation * torch.randn(400_000, 3)).relu().mean(0)
    assert torch.allclose(rectified_mean(mean, deviation), draws, atol=0.02)
    assert rectified_mean(torch.tensor(-1.0), torch.tensor(0.0)) == 0


def test_a_batch_norm_gives_the_moments_where_it_is_there() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten())
    network = nn.Sequential(*layers, nn.Linear(16, 2))
    x = torch.randn(512, 1, 6, 6)
    with torch.no_grad():
        network[1].bias.uniform_(-1, 1)
        network[1].weight.uniform_(-2, 2)
        for _ in range(100):
            network(x)
    network.eval()
    found = expected_inputs(network, x)["5"]
    closed = rectified_mean(network[1].bias, network[1].weight.abs())
    assert torch.allclose(found.view(4, 4), closed[:, None].expand(4, 4), atol=1e-6)
    measured = mean_input(network, "5", x)
    assert torch.allclose(found, measured, atol=0.15)
    # The moments that are measured where the norm is folded away are nearly the same.
    with torch.no_grad():
        network[1] = nn.Sequential(copy.deepcopy(network[1]), nn.Identity())
    assert torch.allclose(expected_inputs(network, x)["5"], found, atol=0.1)


def test_expectations_pass_linear_layers_exactly() -> None:
    torch.manual_seed(0)
    layers = {"one": nn.Conv1d(2, 3, 3, padding=1), "two": nn.Conv1d(3, 3, 1)}
    layers |= {"add": Sum([1.0, -2.0]), "pool": nn.AvgPool1d(2), "flatten": nn.Flatten()}
    network = GraphNetwork(layers | {"out": nn.Linear(12, 2)}, {"add": ["two", "one"]}).eval()
    x = torch.rand(20, 2, 8)
    got: dict[str, Tensor] = {}
    synapses = dict(network.layers.named_children())
    with evaluating(network), recording(synapses, lambda n, m, i, o: got.update({n: i[0]})):
        network(x)
    for name, expected in expected_inputs(network, x).items():
        assert torch.allclose(expected, got[name.removeprefix("layers.")].mean(0), atol=1e-6)


def test_what_cannot_be_corrected_is_refused(on_grids: Any) -> None:
    x = torch.rand(8, 4)
    network = on_grids(nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 2)), 4)
    with pytest.raises(InputError, match="layer 0: found no bias, expected one to correct"):
        correct_empirically(network, x)
    with pytest.raises(InputError, match="found Tanh, expected ReLUs and linear layers") as caught:
        correct_analytically(network, x)
    assert "\n" not in str(caught.value)
    one = nn.Linear(4, 4)
    with pytest.raises(InputError, match="found two runs per forward"):
        correct_empirically(nn.Sequential(one, one), x)


def test_the_float_copy_shares_nothing(mlp: Any, digits: Any, on_grids: Any) -> None:
    x = digits[0][:50]
    plain = mlp(x)
    on_grids(mlp, 3)
    quantized = mlp(x)
    copied = floating(mlp)
    assert torch.equal(copied(x), plain)
    assert torch.equal(mlp(x), quantized)
    assert not torch.equal(quantized, plain)
