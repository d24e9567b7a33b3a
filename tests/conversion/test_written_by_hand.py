"""Clips and scalings that a forward writes by hand, upsampling, and the names of layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from snnquant.config import NeuronConfig
from snnquant.conversion import to_spiking
from snnquant.conversion.rewriting import rewrite
from snnquant.errors import InputError
from snnquant.nn import GraphNetwork
from snnquant.nn.wiring import Reshaped
from snnquant.spiking import Neuron


class User(nn.Module):
    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.operation = operation
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.operation(self.first(x)).mean((2, 3)))


CLIPS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "where": (lambda x: torch.where(x < 0, torch.zeros_like(x), x), float("inf")),
    "where with a number": (lambda x: torch.where(x > 0, x, 0.0), float("inf")),
    "two wheres": (
        lambda x: torch.where(
            x < 0, torch.zeros_like(x), torch.where(x > 1, torch.ones_like(x), x)
        ),
        1.0,
    ),
    "times a comparison": (lambda x: x * (x > 0), float("inf")),
    "times a comparison as numbers": (lambda x: (x > 0).float() * x, float("inf")),
    "maximum": (lambda x: torch.maximum(x, torch.zeros_like(x)), float("inf")),
    "absolute values": (lambda x: (x + x.abs()) / 2, float("inf")),
    "threshold": (lambda x: functional.threshold(x, 0.0, 0.0), float("inf")),
}


@pytest.mark.parametrize("case", CLIPS)
def test_a_clip_is_a_layer_of_neurons(case: str) -> None:
    operation, limit = CLIPS[case]
    network, x = User(operation).eval(), 3 * torch.randn(7, 3, 5, 5)
    reference, _ = rewrite(network, x)
    (layer,) = reference.activations().values()
    assert getattr(layer, "max_val", float("inf")) == limit
    with torch.no_grad():
        torch.testing.assert_close(reference(x), network(x))
    snn = to_spiking(network, x, NeuronConfig(time_steps=3))
    assert sum(isinstance(layer, Neuron) for layer in snn.layers) == 1


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: torch.where(x < 0, 0.1 * x, x),
        lambda x: torch.where(x < 0.5, torch.zeros_like(x), x),
        lambda x: torch.maximum(x, -x),
        lambda x: x * (x > 1),
    ],
)
def test_other_functions_are_no_clip(operation: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(InputError, match="expected"):
        rewrite(User(lambda x: operation(x).relu()), torch.randn(3, 3, 5, 5))


class Scaled(nn.Module):
    """Normalises its input, as a network that carries its statistics does."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.register_buffer("mean", torch.rand(shape))
        self.register_buffer("std", torch.rand(shape) + 0.5)
        self.gain = nn.Parameter(torch.rand(4, 1, 1))
        self.conv, self.last = nn.Conv2d(3, 4, 3), nn.Linear(36, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        x = self.gain - self.conv(x).relu() * self.gain
        return self.last(x.flatten(1))


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (3, 1, 1), (5,), (5, 1), (1,), ()])
def test_parameters_of_one_number_per_channel(shape: tuple[int, ...]) -> None:
    network, x = Scaled(shape).eval(), torch.randn(6, 3, 5, 5)
    reference, _ = rewrite(network, x)
    with torch.no_grad():
        torch.testing.assert_close(reference(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "up",
    [
        nn.Upsample(scale_factor=2),
        nn.UpsamplingNearest2d(scale_factor=2),
        nn.Upsample(size=(6, 6)),
        lambda x: functional.interpolate(x, scale_factor=2),
    ],
)
def test_upsampling_by_repetition(up: Callable[[Tensor], Tensor]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last, self.up = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 6), up

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.up(self.first(x).relu())).flatten(1)

    network, x = Net().eval(), torch.randn(6, 3, 5, 5)
    reference, _ = rewrite(network, x)
    with torch.no_grad():
        torch.testing.assert_close(reference(x), network(x))
    rows = GraphNetwork(dict(reference.layers.named_children()), reference.inputs).describe()
    assert "Upsample" in [row["kind"] for row in rows]
    snn = to_spiking(network, x, NeuronConfig(time_steps=3))
    with torch.no_grad():
        assert snn(x).shape == (6, 2)


def test_other_upsampling_is_refused() -> None:
    network = User(lambda x: functional.interpolate(x.relu(), scale_factor=2, mode="bilinear"))
    with pytest.raises(InputError, match="interpolate"):
        rewrite(network, torch.randn(3, 3, 5, 5))


def test_names_do_not_grow_with_the_networks_around_them() -> None:
    inner = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2))
    user, x = nn.Sequential(inner), torch.randn(3, 1, 12, 1, 1)
    first, _ = rewrite(Reshaped(user, "N, bands"), x)
    graph = GraphNetwork(dict(first.layers.named_children()), first.inputs)
    second, _ = rewrite(graph, x)
    assert list(first.inputs) == list(second.inputs)
    assert {"0_1", "0_3"} <= set(first.inputs)
