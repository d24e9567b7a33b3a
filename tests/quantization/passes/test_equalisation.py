from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn import INPUT, GraphNetwork
from snnquant.nn.wiring import Concatenate, Mean, Sum
from snnquant.quantization.passes.channel_groups import channel_groups
from snnquant.quantization.passes.equalisation import absorb_biases, equalise
from snnquant.spiking import LIF, SpikingNetwork


def rows(layer: nn.Module) -> Tensor:
    return layer.weight.detach().abs().flatten(1).amax(1)  # type: ignore[union-attr, operator]


def columns(layer: nn.Module) -> Tensor:
    return layer.weight.detach().abs().transpose(0, 1).flatten(1).amax(1)  # type: ignore[operator]


def residual() -> tuple[nn.Module, Tensor]:
    layers = {
        "stem": nn.Conv2d(2, 6, 1),
        "relu0": nn.ReLU(),
        "conv1": nn.Conv2d(6, 5, 3, padding=1),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(5, 6, 1),
        "add": Sum([1.0, 0.5]),
        "relu2": nn.ReLU(),
        "mean": Mean([2, 3], False),
        "classifier": nn.Linear(6, 4),
    }
    return GraphNetwork(layers, {"add": ["conv2", "relu0"]}), torch.randn(9, 2, 5, 5)


def depthwise() -> tuple[nn.Module, Tensor]:
    layers = (
        *(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.Conv3d(4, 4, 3, groups=4, padding=1), nn.ReLU()),
        *(nn.Conv3d(4, 3, 1), nn.MaxPool3d(2), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 8, 5)),
    )
    return nn.Sequential(*layers), torch.randn(9, 1, 6, 6, 6)


def forked() -> tuple[nn.Module, Tensor]:
    layers = {
        "stem": nn.Conv1d(3, 4, 1),
        "relu": nn.ReLU(),
        "left": nn.Conv1d(4, 3, 1, bias=False),
        "right": nn.Conv1d(4, 2, 3, padding=1),
        "both": Concatenate(1),
        "pool": nn.AvgPool1d(2),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(20, 2),
    }
    return GraphNetwork(layers, {"right": ["relu"], "both": ["left", "right"]}), torch.randn(
        9, 3, 8
    )


def own(name: str) -> tuple[nn.Module, Tensor]:
    config = ModelConfig(name=name)
    return build_model(config, 60, 5), torch.randn(6, 1, config.inputs(60), *[config.window] * 2)


NETWORKS = [residual, depthwise, forked, *(lambda n=n: own(n) for n in ("cnn3d", "cnn1x1", "li"))]


def unbalance(network: nn.Module) -> None:
    """Multiply what every channel weighs by random factors between 0.1 and 10."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                factors = 10 ** (2 * torch.rand(len(parameter)) - 1)
                parameter.mul_(factors.view(-1, *[1] * (parameter.ndim - 1)))


@pytest.mark.parametrize("build", NETWORKS)
def test_the_function_stays_the_same(build) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(1)
    network, x = build()
    unbalance(network.eval())
    before, weights = network(x), [p.detach().clone() for p in network.parameters()]
    equalise(network, x[:1])
    after = network(x)
    assert (after - before).abs().max() < 1e-5 * before.abs().max()
    assert any(not torch.equal(a, b) for a, b in zip(weights, network.parameters(), strict=True))


def test_both_sides_have_the_geometric_mean_of_their_ranges() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    unbalance(network)
    r1, r2 = rows(network[0]), columns(network[2])
    equalise(network, torch.zeros(1, 5))
    assert torch.allclose(rows(network[0]), (r1 * r2).sqrt())
    assert torch.allclose(columns(network[2]), (r1 * r2).sqrt())


def test_a_depthwise_triple_ends_at_the_cube_root() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(2, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU())
    network = nn.Sequential(*layers, nn.Conv2d(6, 4, 1))
    unbalance(network)
    r1, r2, r3 = rows(network[0]), rows(network[2]), columns(network[4])
    weight = network[0].weight.detach().clone()
    equalise(network, torch.zeros(1, 2, 4, 4))
    cube = (r1 * r2 * r3) ** (1 / 3)
    for found in (rows(network[0]), rows(network[2]), columns(network[4])):
        assert torch.allclose(found, cube, rtol=1e-5)
    s12 = weight / network[0].weight
    assert torch.allclose(s12[:, 0, 0, 0], r1 / cube, rtol=1e-5)


def test_one_factor_serves_all_that_meet_in_a_sum() -> None:
    torch.manual_seed(0)
    network, x = residual()
    groups = channel_groups(network, x)
    trunk = groups.outputs["layers.stem"]
    assert torch.equal(groups.outputs["layers.conv2"], trunk)
    assert torch.equal(groups.inputs["layers.conv1"][0], trunk)
    assert torch.equal(groups.inputs["layers.classifier"][0], trunk)
    assert not set(groups.outputs["layers.conv1"].tolist()) & set(trunk.tolist())
    assert not groups.free[groups.outputs["layers.classifier"]].any()
    equalise(network, x)
    wide = torch.stack([rows(network.layers.stem), rows(network.layers.conv2)]).amax(0)  # type: ignore[union-attr]
    read = torch.stack([columns(network.layers.conv1), columns(network.layers.classifier)]).amax(0)  # type: ignore[union-attr]
    assert torch.allclose(wide, read, rtol=1e-4)


def test_what_is_added_to_the_input_keeps_its_scale() -> None:
    layers = {"conv": nn.Conv1d(3, 3, 1), "add": Sum([1.0, 1.0]), "flatten": nn.Flatten()}
    network = GraphNetwork(layers | {"out": nn.Linear(12, 2)}, {"add": ["conv", INPUT]})
    groups = channel_groups(network, torch.zeros(1, 3, 4))
    assert not groups.free[groups.outputs["layers.conv"]].any()


def test_an_equalised_network_keeps_its_digits_at_4_bits(mlp, digits, on_grids) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    x, y = (part[1200:] for part in digits)
    unbalanced = copy.deepcopy(mlp)
    with torch.no_grad():
        for one, other in ((0, 2), (2, 4)):
            factors = 10 ** (2 * torch.rand(64) - 1)
            unbalanced[one].weight.mul_(factors[:, None])
            unbalanced[one].bias.mul_(factors)
            unbalanced[other].weight.div_(factors)
    assert torch.allclose(unbalanced(x), mlp(x), atol=1e-4)
    equalised = copy.deepcopy(unbalanced)
    equalise(equalised, x[:1])
    assert (equalised(x) - unbalanced(x)).abs().max() < 1e-5 * unbalanced(x).abs().max()

    def accuracy(network: nn.Module) -> float:
        return (on_grids(network, 4)(x).argmax(1) == y).float().mean().item()

    plain = (mlp(x).argmax(1) == y).float().mean().item()
    assert accuracy(unbalanced) < plain - 0.1
    assert accuracy(equalised) > plain - 0.03


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2)), "found Tanh"),
        (nn.Sequential(nn.Linear(3, 2), nn.ReLU6(), nn.Linear(2, 2)), "found ReLU6"),
        (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), "found BatchNorm1d"),
        (SpikingNetwork({"a": nn.Linear(3, 2), "lif": LIF()}, 2), "found an SNN"),
    ],
)
def test_other_networks_are_refused_in_one_line(network: nn.Module, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        equalise(network, torch.zeros(1, 3))
    assert "\n" not in str(caught.value)


class Odd(nn.Module):
    def __init__(self, operation) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.one, self.two, self.operation = nn.Linear(4, 4), nn.Linear(4, 2), operation

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.operation(torch.relu(self.one(x)), x))
        return y


@pytest.mark.parametrize(
    "operation",
    [lambda a, x: a * a, lambda a, x: a + 1, lambda a, x: 1 / a, lambda a, x: a.chunk(2, 1)[0]],
)
def test_arithmetic_that_no_factor_passes_is_refused(operation) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="expected only layers that a positive factor passes"):
        equalise(Odd(operation), torch.zeros(1, 4))


def test_arithmetic_that_a_factor_passes_is_followed() -> None:
    torch.manual_seed(0)
    network = Odd(lambda a, x: (a + a) * 0.5)
    unbalance(network)
    x = torch.randn(8, 4)
    before = network(x)
    equalise(network, x)
    assert torch.allclose(network(x), before, rtol=1e-5, atol=1e-5)
    assert torch.allclose(rows(network.one), columns(network.two))


def test_a_silent_channel_keeps_its_weights() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        network[0].weight[0] = 0
        network[2].weight[:, 1] = 0
    weights = copy.deepcopy(network.state_dict())
    equalise(network, torch.zeros(1, 3))
    assert all(torch.equal(weights[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("build", NETWORKS)
def test_an_absorbed_bias_keeps_the_function_where_nothing_falls_below(build) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(2)
    network, x = build()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter += 20.0
    before = network.eval()(x)
    absorb_biases(network, x)
    assert (network(x) - before).abs().max() < 5e-3 * before.abs().max()


def test_bias_goes_to_the_readers_except_through_zeros_of_a_padding() -> None:
    torch.manual_seed(0)
    for padding in (0, 1):
        network = nn.Sequential(nn.Conv1d(1, 2, 1), nn.ReLU(), nn.Conv1d(2, 2, 3, padding=padding))
        x = torch.rand(50, 1, 9)
        with torch.no_grad():
            network[0].bias.fill_(5.0)
        values = network[0](x).transpose(0, 1).flatten(1)
        network_before = copy.deepcopy(network)
        absorb_biases(network, x)
        c = values.mean(1) - 3 * values.std(1, correction=0)
        moved = network_before[0].bias - network[0].bias
        assert torch.allclose(moved, c if padding == 0 else torch.zeros(2), atol=1e-5)
        gained = network[2].bias - network_before[2].bias
        assert torch.allclose(gained, network[2].weight.sum(2) @ moved, atol=1e-5)
