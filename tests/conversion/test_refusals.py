"""Refusals: one line that names the operation, its line of source and what to do about it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from snnquant.conversion import convert, to_spiking
from snnquant.conversion.rewriting import rewrite
from snnquant.errors import InputError

EXAMPLE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


class User(nn.Module):
    """A user's network around one operation."""

    def __init__(self, operation: Callable[[User, Tensor], Tensor]) -> None:
        super().__init__()
        self.operation = operation
        self.conv, self.side = nn.Conv2d(4, 4, 1), nn.Linear(4, 4)
        self.leaky, self.norm = nn.LeakyReLU(), nn.LayerNorm(6)
        self.odd = nn.Hardtanh(-1, 1)
        self.plane = nn.Parameter(torch.ones(1, 6, 6))
        self.weighted = parametrizations.weight_norm(nn.Conv2d(4, 4, 1))
        self.moving = nn.BatchNorm2d(4, track_running_stats=False)
        self.plain = nn.BatchNorm1d(4)
        self.recurrent = nn.LSTM(6, 6)
        self.indexed = nn.MaxPool2d(2, return_indices=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.operation(self, self.conv(x).relu())


def excitation(net: User, x: Tensor) -> Tensor:
    return x * net.side(x.mean((2, 3))).relu()[:, :, None, None]


def branch(net: User, x: Tensor) -> Tensor:
    return x.relu() if x.sum() > 0 else x


REFUSED: dict[str, tuple[Callable[[User, Tensor], Tensor], str]] = {
    "leaky": (lambda net, x: net.leaky(x), "LeakyReLU, whose negative .* expected ReLU"),
    "leaky function": (lambda net, x: functional.leaky_relu(x), "leaky_relu, whose negative"),
    "gelu": (lambda net, x: functional.gelu(x), "gelu, whose negative"),
    "sigmoid": (lambda net, x: x.sigmoid(), "sigmoid, which is no ReLU"),
    "hardtanh": (lambda net, x: net.odd(x), "Hardtanh, which is no ReLU from 0 up"),
    "clamp": (lambda net, x: x.clamp(-1, 1), "clamp, which is no ReLU from 0 up"),
    "clamp from above": (lambda net, x: x.clamp(max=1), "clamp, which is no ReLU from 0 up"),
    "excitation": (excitation, r"mul as a product of two activations \(squeeze-and-excitation"),
    "attention": (lambda net, x: x @ x.transpose(2, 3), "matmul as a product of two activations"),
    "parameter": (lambda net, x: x * net.plane, "parameter outside a module"),
    "constant": (lambda net, x: x + 1, "add with a number .* bias of the layer before"),
    "softmax": (lambda net, x: x.softmax(1).relu(), "softmax before the output"),
    "layer norm": (lambda net, x: net.norm(x), "LayerNorm, whose statistics .* BatchNorm"),
    "batch statistics": (lambda net, x: net.moving(x), "BatchNorm2d that no weights take in"),
    "norm of vectors": (
        lambda net, x: net.plain(x.mean((2, 3))),
        "BatchNorm1d that no weights take in, expected running statistics, and",
    ),
    "functional": (lambda net, x: functional.conv2d(x, net.conv.weight), "parameter outside a"),
    "weight norm": (lambda net, x: net.weighted(x), "ParametrizedConv2d outside a module with pl"),
    "recurrent": (lambda net, x: net.recurrent(x.flatten(1, 2))[0], "LSTM, which is recurrent"),
    "part": (lambda net, x: x[:, 1:], "getitem that takes a part of a tensor"),
    "chunk": (lambda net, x: x.chunk(2, 1)[0], "chunk that takes a part of a tensor"),
    "indices of a function": (
        lambda net, x: functional.max_pool2d(x, 2, return_indices=True)[0],
        "max_pool2d_with_indices that returns indices, expected return_indices=False",
    ),
    "indices": (lambda net, x: net.indexed(x)[0], "MaxPool2d that returns indices"),
    "unknown": (lambda net, x: torch.fft.rfft(x).real, "fft_rfft, expected convolutions, dense"),
    "batch mixed": (lambda net, x: x.view(-1, 4), "view that moves or reduces the first axis"),
    "batch moved": (lambda net, x: x.permute(1, 0, 2, 3), "permute that moves or reduces"),
    "batch moved unseen": (
        lambda net, x: x[:, :3].mean(3).transpose(0, 1),
        "that takes a part of a tensor",
    ),
    "batch reduced": (lambda net, x: x.mean(), "mean that moves or reduces the first axis"),
    "batch joined": (lambda net, x: torch.cat([x, x]), "cat that moves or reduces"),
    "cat then add": (
        lambda net, x: torch.cat([x, net.conv(x).relu()], 1) + torch.cat([x, x], 1),
        "concatenated activations of several thresholds mixed by Sum, expected a conv",
    ),
    "branch": (branch, "found symbolically traced variables cannot be used .* same operations"),
    "tuple": (lambda net, x: (x, x), "User: found an output of type tuple, expected one tensor"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_operation_without_a_spiking_form_is_refused_in_a_line(name):
    operation, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        rewrite(User(operation), EXAMPLE)
    text = str(caught.value)
    assert "\n" not in text
    assert "found" in text
    assert "expected" in text
    if name != "tuple":
        lines, first = inspect.getsourcelines(operation)
        place = re.match(r"(.+):(\d+): ", text)
        assert place
        assert place[1] == __file__
        assert first <= int(place[2]) < first + len(lines)


def test_a_module_that_is_refused_stays_as_it_was():
    network = User(REFUSED["leaky"][0]).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(InputError):
        convert(network, EXAMPLE, EXAMPLE)
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_network_without_relu_is_refused():
    with pytest.raises(InputError, match="Sequential: found no ReLU, expected at least one"):
        rewrite(nn.Sequential(nn.Flatten(), nn.Linear(144, 3)), EXAMPLE)


def test_an_example_of_the_wrong_shape_is_refused():
    with pytest.raises(InputError, match=r"does not run on inputs of shape \(2, 4, 6, 6\) \("):
        rewrite(nn.Sequential(nn.Conv2d(5, 2, 1), nn.ReLU()), EXAMPLE)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor, y: Tensor | None = None, gain: float = 2.0) -> Tensor:
        x = self.conv(x).relu() * gain
        return x if y is None else torch.relu(x + y)


class Needy(TwoInputs):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.relu(x + y)


def test_arguments_after_the_first_take_their_defaults_or_are_refused():
    reference, _ = rewrite(TwoInputs(), EXAMPLE)
    assert [*reference.inputs] == ["conv", "lif", "mul"]
    with pytest.raises(InputError, match=r"Needy: does not run on inputs of shape .*missing 1"):
        rewrite(Needy(), EXAMPLE)


class InPlace(nn.Module):
    """The sum reads a value that the ReLU has overwritten, which no graph of values shows."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 1.0
        z = functional.relu(y, inplace=True)
        return z - y * 0.5


def test_a_value_overwritten_and_used_again_is_noticed():
    with pytest.raises(InputError, match="Sequential: read as a graph it is another function"):
        to_spiking(nn.Sequential(nn.Conv2d(4, 4, 1), InPlace()), EXAMPLE, None)


def test_weights_that_are_not_finite_are_noticed():
    network = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
    nn.init.constant_(network[0].weight, torch.nan)
    with pytest.raises(InputError, match="expected finite outputs"):
        rewrite(network, EXAMPLE)
