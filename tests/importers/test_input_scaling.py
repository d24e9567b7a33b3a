"""Normalisation inside a CNN moves into the scaling of the pixels; its results stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.conversion.rewriting import rewrite
from snnquant.importers.input_scaling import fold_input_scaling
from snnquant.nn import GraphNetwork
from snnquant.nn.wiring import LAYOUTS, Reshaped
from snnquant.sampling import Normalisation

BANDS, SIDE = 6, 5
NUMBERS = np.random.default_rng(0)
RAW = NUMBERS.uniform(100, 9000, (4, SIDE, SIDE, BANDS)).astype(np.float32)
MEAN = torch.from_numpy(RAW.mean((0, 1, 2))).view(1, BANDS, 1, 1)
STD = torch.from_numpy(RAW.std((0, 1, 2))).view(1, BANDS, 1, 1)
SOME = (MEAN.median() < MEAN).float()
PIXELS = Normalisation(np.full(BANDS, 50, np.float32), np.full(BANDS, 3, np.float32))
SCALINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "per band": lambda x: (x - MEAN) / STD,
    "a number": lambda x: x / 255,
    "numbers": lambda x: (x * 2 - torch.tensor(9.0)) / 4 + torch.tensor(1.0),
    "both": lambda x: (x / 1e4 + MEAN / 1e3) * STD,
}


class Net(nn.Module):
    """A CNN of [N, bands, rows, columns] that scales its pixels first."""

    def __init__(self, scaling: Callable[[Tensor], Tensor], padding: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scaling = scaling
        self.conv = nn.Conv2d(BANDS, 4, 3, padding=padding)
        self.dense = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(torch.relu(self.conv(self.scaling(x))).flatten(1))


class Norm(Net):
    """A CNN with a batch norm of its input."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm2d(BANDS))
        self.scaling.running_mean.copy_(MEAN.view(-1))  # type: ignore[attr-defined]
        self.scaling.running_var.copy_(STD.view(-1) ** 2)  # type: ignore[attr-defined]


def patches(normalisation: Normalisation) -> Tensor:
    """Return the pixels as patches [N, 1, bands, rows, columns]."""
    return torch.from_numpy(normalisation.apply(RAW)).permute(0, 3, 1, 2)[:, None]


def graph_of(network: nn.Module, layout: str = "N, bands, window, window") -> GraphNetwork:
    example = patches(PIXELS)
    shaped = Reshaped(network, layout).eval()
    shaped(example)
    reference, _ = rewrite(shaped, example)
    return GraphNetwork(dict(reference.layers.named_children()), reference.inputs).eval()


def fold(graph: GraphNetwork, pixels: Normalisation = PIXELS) -> tuple[GraphNetwork, Normalisation]:
    """Fold, and check that the results are the same."""
    folded, moved, gone = fold_input_scaling(graph, pixels, (1, BANDS, SIDE, SIDE))
    assert set(graph.inputs) - set(folded.inputs) == gone
    with torch.no_grad():
        expected, found = graph(patches(pixels)), folded(patches(moved))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    return folded, moved


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("padding", [0, 1])
def test_arithmetic_before_the_first_layer_is_gone(scaling: str, padding: int) -> None:
    graph = graph_of(Net(SCALINGS[scaling], padding))
    plain = graph_of(Net(lambda x: x, padding))
    folded, _ = fold(graph)
    assert [*folded.inputs] == [*plain.inputs]
    assert folded.inputs == plain.inputs


def test_a_batch_norm_of_the_input_is_gone() -> None:
    folded, moved = fold(graph_of(Norm()))
    assert [*folded.inputs] == [*graph_of(Net(lambda x: x)).inputs]
    spread = torch.sqrt(STD.view(-1) ** 2 + 1e-5) * 3
    np.testing.assert_allclose(moved.std, spread.numpy(), rtol=1e-6)
    np.testing.assert_allclose(moved.mean, 50 + 3 * MEAN.view(-1).numpy(), rtol=1e-6)


@pytest.mark.parametrize("layout", ["N, window, window, bands", "N, 1, window, window, bands"])
def test_bands_last(layout: str) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense1, self.dense2 = nn.LazyLinear(5), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = (x - MEAN.view(-1)) / STD.view(-1)
            return self.dense2(torch.relu(self.dense1(x.flatten(1))))

    assert layout in LAYOUTS
    graph = graph_of(Last(), layout)
    folded, _ = fold(graph)
    assert not any(isinstance(layer, nn.Conv3d | nn.Conv2d) for layer in folded.layers)


def test_axes_turned_there_and_back_are_gone_too() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.dense = nn.Conv3d(1, 2, 3), nn.LazyLinear(3)

        def forward(self, x: Tensor) -> Tensor:
            x = (x - MEAN) / STD  # the bands of a volume are not its channels
            return self.dense(torch.relu(self.conv(x)).flatten(1))

    folded, _ = fold(graph_of(Turned(), "N, 1, bands, window, window"))
    kinds = [type(layer).__name__ for layer in folded.layers]
    assert kinds == ["Conv3d", "ReLU", "Reshape", "Linear"]


def _unchanged(graph: GraphNetwork, pixels: Normalisation = PIXELS) -> None:
    folded, moved, gone = fold_input_scaling(graph, pixels, (1, BANDS, SIDE, SIDE))
    assert (folded, moved, gone) == (graph, pixels, set())


def test_nothing_to_fold() -> None:
    _unchanged(graph_of(Net(lambda x: x)))


def test_a_factor_that_is_not_positive_stays_a_layer() -> None:
    _unchanged(graph_of(Net(lambda x: (MEAN - x) / STD)))
    _unchanged(graph_of(Net(lambda x: x * SOME)))


def test_a_factor_per_column_stays_a_layer() -> None:
    columns = torch.arange(1.0, SIDE + 1)
    _unchanged(graph_of(Net(lambda x: x * columns)))


def test_principal_components_stay_as_they_are() -> None:
    axes = np.eye(BANDS, dtype=np.float32)
    graph = graph_of(Net(SCALINGS["per band"]))
    _unchanged(graph, Normalisation(PIXELS.mean, PIXELS.std, axes))


def test_pixels_that_other_layers_take_too_stay() -> None:
    class Raw(Net):
        def forward(self, x: Tensor) -> Tensor:
            both = torch.cat([torch.relu(self.conv(self.scaling(x))), self.conv(x)], 1)
            return self.dense(both.flatten(1))

    _unchanged(graph_of(Raw(SCALINGS["per band"])))


def test_a_spiking_layer_right_after_it_keeps_its_input() -> None:
    class Early(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.dense(torch.relu(self.conv(torch.relu(self.scaling(x)))).flatten(1))

    _unchanged(graph_of(Early(SCALINGS["per band"])))
