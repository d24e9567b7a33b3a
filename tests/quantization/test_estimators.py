"""Tests of the gradient estimators: closed forms, means over a cell, the socket."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from snnquant.errors import InputError
from snnquant.quantization.estimators import (
    ESTIMATORS,
    Cells,
    Estimator,
    estimate,
    ewgs,
    fake_quantize,
    straight_through,
)
from snnquant.quantization.grids import QUANTIZERS, Grid
from snnquant.spiking import Surrogate

FOR_WEIGHTS = ("ste", "clipped", "cosine", "tanh", "ewgs", "polynomial")
FOR_ACTIVATIONS = ("relu", "clipped_relu", "identity", "log")
STEP = 0.25
FINE = Grid(torch.full((1, 1), STEP), torch.zeros(1, 1), -7, 7)


def factors(name: str, weight: Tensor, grid: Grid = FINE, outer: Tensor | None = None) -> Tensor:
    """Return the gradient of a quantized weight [1, N], divided by what arrives."""
    outer = torch.ones_like(weight) if outer is None else outer
    weight = weight.clone().requires_grad_()
    quantized = fake_quantize(weight, grid, ESTIMATORS.get(name))
    assert torch.equal(quantized, grid.values(grid.codes(weight.detach())))
    (gradient,) = torch.autograd.grad(quantized, weight, outer)
    return gradient / outer


def cell(count: int = 2000) -> Tensor:
    """Return the cell around the level 2 of `FINE`, evenly sampled, [1, N]."""
    return (2 + (torch.arange(count, dtype=torch.float64)[None] + 0.5) / count - 0.5) * STEP


def test_every_estimator_is_registered() -> None:
    assert set(ESTIMATORS.names()) == {*FOR_WEIGHTS, *FOR_ACTIVATIONS}


@pytest.mark.parametrize("name", ESTIMATORS.names())
@pytest.mark.parametrize("scheme", QUANTIZERS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_every_estimator_serves_every_grid(name: str, scheme: str, per_channel: bool) -> None:
    weight = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    for shrink in (1, 0.5):
        grid = QUANTIZERS[scheme](weight, 3, per_channel=per_channel, shrink=shrink)
        found = factors(name, weight, grid)
        assert found.shape == weight.shape
        assert found.isfinite().all()
        assert (found != 0).any()


@pytest.mark.parametrize("name", ["cosine", "tanh", "polynomial"])
def test_the_mean_over_a_cell_is_one(name: str) -> None:
    assert factors(name, cell()).mean().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["cosine", "tanh", "polynomial"])
def test_all_cells_are_alike(name: str) -> None:
    weight = cell(50)
    for shift in (-1, 3):
        torch.testing.assert_close(factors(name, weight + shift * STEP), factors(name, weight))


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("ste", lambda p: torch.ones_like(p)),
        ("cosine", lambda p: 1 + 0.8 * torch.cos(2 * math.pi * p)),
        ("polynomial", lambda p: 4 * p.abs()),
        (
            "tanh",
            lambda p: 2 / math.tanh(2) * (1 - torch.tanh(4 * (0.5 - p.abs())) ** 2),
        ),
    ],
)
def test_closed_forms(name: str, form: Callable[[Tensor], Tensor]) -> None:
    weight = cell(101)
    torch.testing.assert_close(factors(name, weight), form(weight / STEP - 2))


def test_tanh_is_the_slope_of_its_chain_of_steps() -> None:
    """Central differences of the soft staircase whose jumps are at the boundaries."""

    def staircase(w: Tensor) -> Tensor:
        nearest = w.floor() + 0.5  # the boundary between the levels on both sides
        return w.floor() + 0.5 + torch.tanh(4 * (w - nearest)) / (2 * math.tanh(2))

    w, h = torch.linspace(1.51, 2.49, 40, dtype=torch.float64)[None], 1e-5
    slope = (staircase(w + h) - staircase(w - h)) / (2 * h)
    away = (w - 2).abs() > 1e-3  # two steps of the chain meet at a level
    torch.testing.assert_close(factors("tanh", w * STEP)[away], slope[away], rtol=1e-7, atol=1e-7)


def test_ewgs_depends_on_the_sign_of_the_gradient() -> None:
    weight = torch.tensor([[0.30, 0.20]])  # 0.2 steps above and below the level 0.25
    up = factors("ewgs", weight, outer=torch.full((1, 2), 3.0))
    down = factors("ewgs", weight, outer=torch.full((1, 2), -3.0))
    torch.testing.assert_close(up, torch.tensor([[1.04, 0.96]]))
    torch.testing.assert_close(down, torch.tensor([[0.96, 1.04]]))
    cells = Cells(weight, torch.tensor([[0.2, -0.2]]), torch.tensor([[True, True]]), 7)
    assert torch.equal(ewgs(cells, torch.ones(1, 2), delta=0), torch.ones(1, 2))


@pytest.mark.parametrize("name", ["clipped", "cosine", "tanh", "ewgs", "polynomial"])
def test_nothing_passes_outside_the_range(name: str) -> None:
    weight = torch.tensor([[3.0, -2.2, 0.3]])
    outer = torch.tensor([[math.inf, 1.0, 1.0]])
    weight.requires_grad_()
    quantized = fake_quantize(weight, FINE, ESTIMATORS.get(name))
    (gradient,) = torch.autograd.grad(quantized, weight, outer)
    assert gradient[0, :2].tolist() == [0, 0]
    assert gradient[0, 2] > 0


def test_the_default_is_the_clipped_one_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(5, 40, generator=generator).requires_grad_()
    outer = torch.randn(5, 40, generator=generator)
    with torch.no_grad():
        unclipped = FINE.unclipped_codes(weight)
        inside = unclipped == FINE.codes(weight)
    expected = straight_through(weight, FINE.values(FINE.codes(weight.detach())), inside)
    for quantized in (
        fake_quantize(weight, FINE),
        fake_quantize(weight, FINE, ESTIMATORS.get("clipped")),
        fake_quantize(weight, FINE, lambda cells, gradient: cells.inside.to(gradient.dtype)),
    ):
        assert torch.equal(quantized, expected)
        (gradient,) = torch.autograd.grad(quantized, weight, outer)
        assert torch.equal(gradient, torch.where(inside, outer, 0))


def activation(name: str, value: Tensor) -> Tensor:
    """Return the factors at an activation with levels 0, 1, 2, 3 and cells (k - 1, k]."""
    value = value.clone().requires_grad_()
    where = value.detach()
    top = where.ceil()
    cells = Cells(where, where - top + 0.5, (where > 0) & (where <= 3), 3)
    estimate(value, top.clamp(0, 3), cells, ESTIMATORS.get(name)).sum().backward()
    assert value.grad is not None
    return value.grad


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", [1, 1, 1, 1, 1]),
        ("relu", [0, 1, 1, 1, 1]),
        ("clipped_relu", [0, 1, 1, 0, 0]),
        ("log", [0, 1, 1, 0.5, 0.25]),
    ],
)
def test_estimators_of_activations(name: str, expected: list[float]) -> None:
    value = torch.tensor([-1.5, 0.5, 3.0, 4.0, 6.0])
    assert activation(name, value).tolist() == expected


def test_the_tail_is_the_slope_of_a_logarithm() -> None:
    """Central differences of x up to h = 3, then h + log(1 + x - h)."""

    def tail(x: Tensor) -> Tensor:
        return torch.where(x <= 3, x, 3 + torch.log(1 + (x - 3).clamp(min=0)))

    x, h = torch.linspace(0.1, 9.1, 31, dtype=torch.float64), 1e-6
    slope = (tail(x + h) - tail(x - h)) / (2 * h)
    torch.testing.assert_close(activation("log", x), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["polynomial", "clipped", "ste"])
def test_a_name_is_the_same_choice_for_a_sign_and_for_a_spike(name: str) -> None:
    """At a step of half height 1, as at z = 0 of a spike with half width 1."""
    z = torch.linspace(-1.63, 1.6, 33)[None]  # never the half width itself
    grid_of_signs = torch.where(z < 0, -1.0, 1.0)
    cells = Cells(z / 2, (z - grid_of_signs) / 2, z.abs() <= 1, 0.5)
    found = ESTIMATORS.get(name)(cells, torch.ones_like(z))
    torch.testing.assert_close(found, Surrogate.named(name).derivative(z))


@pytest.fixture
def third_party() -> Iterator[Estimator]:
    @ESTIMATORS.register("half")
    def half(cells: Cells, gradient: Tensor) -> Tensor:
        return torch.full_like(cells.value, 0.5)

    yield half
    del ESTIMATORS._entries["half"]


def test_a_third_party_adds_one_by_name(third_party: Estimator) -> None:
    assert ESTIMATORS.get("half") is third_party
    assert factors("half", torch.tensor([[0.3]])).item() == 0.5
    with pytest.raises(InputError, match="registered twice"):
        ESTIMATORS.register("half")(third_party)


def test_an_unknown_name_is_refused_in_a_line() -> None:
    with pytest.raises(InputError, match="gradient estimator: found 'sign', expected one of"):
        ESTIMATORS.get("sign")
