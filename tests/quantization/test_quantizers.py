from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from snnquant.quantization.estimators import fake_quantize
from snnquant.quantization.grids import (
    QUANTIZERS,
    Grid,
    least_squares_grid,
    quantize_affine,
    quantize_symmetric,
)

BITS = st.integers(2, 8)
SCHEMES = st.sampled_from(sorted(QUANTIZERS))
WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=6),
    elements=st.one_of(st.floats(-100, 100, width=32), st.just(0.0)),
).map(torch.from_numpy)
EITHER = st.booleans()
# Where weight / scale rounds, an error of half a step may come out a little larger.
HALF = 0.5 + 1e-4


def levels(weight: Tensor, grid: Grid) -> Tensor:
    return grid.values(grid.codes(weight))


@given(WEIGHTS, BITS, SCHEMES, EITHER)
@settings(deadline=None)
def test_codes_are_whole_numbers_of_b_bits(
    weight: Tensor, bits: int, scheme: str, per_channel: bool
) -> None:
    grid = QUANTIZERS[scheme](weight, bits, per_channel=per_channel)
    codes = grid.codes(weight)
    assert torch.equal(codes, codes.round())
    assert grid.low <= codes.min()
    assert codes.max() <= grid.high
    assert grid.high - grid.low + 1 == (2**bits - 1 if scheme == "symmetric" else 2**bits)
    assert grid.scale.shape == ((len(weight) if per_channel else 1), *[1] * (weight.ndim - 1))


@given(WEIGHTS, BITS, SCHEMES, EITHER)
@settings(deadline=None)
def test_nothing_is_further_than_half_a_step(
    weight: Tensor, bits: int, scheme: str, per_channel: bool
) -> None:
    grid = QUANTIZERS[scheme](weight, bits, per_channel=per_channel)
    assert ((levels(weight, grid) - weight).abs() <= HALF * grid.scale).all()


@given(WEIGHTS, BITS, SCHEMES, EITHER)
@settings(deadline=None)
def test_quantizing_twice_is_quantizing_once(
    weight: Tensor, bits: int, scheme: str, per_channel: bool
) -> None:
    grid = QUANTIZERS[scheme](weight, bits, per_channel=per_channel)
    once = levels(weight, grid)
    assert torch.equal(levels(once, grid), once)
    if scheme == "symmetric":  # the largest weight is a level, so even the range is found again
        again = quantize_symmetric(once, bits, per_channel=per_channel)
        assert torch.equal(again.codes(once), grid.codes(weight))


@given(WEIGHTS, BITS, EITHER)
@settings(deadline=None)
def test_symmetric_is_odd(weight: Tensor, bits: int, per_channel: bool) -> None:
    plus = quantize_symmetric(weight, bits, per_channel=per_channel)
    minus = quantize_symmetric(-weight, bits, per_channel=per_channel)
    assert torch.equal(levels(-weight, minus), -levels(weight, plus))


@given(WEIGHTS, BITS, SCHEMES, EITHER, st.floats(0.0625, 1, width=32))
@settings(deadline=None)
def test_zero_stays_zero(
    weight: Tensor, bits: int, scheme: str, per_channel: bool, shrink: float
) -> None:
    grid = QUANTIZERS[scheme](weight, bits, per_channel=per_channel, shrink=shrink)
    assert (levels(torch.zeros_like(weight), grid) == 0).all()
    assert ((grid.zero_point >= grid.low) & (grid.zero_point <= grid.high)).all()


@given(WEIGHTS, BITS, SCHEMES, EITHER, st.floats(0.0625, 1, width=32))
@settings(deadline=None)
def test_order_is_kept(
    weight: Tensor, bits: int, scheme: str, per_channel: bool, shrink: float
) -> None:
    grid = QUANTIZERS[scheme](weight, bits, per_channel=per_channel, shrink=shrink)
    rows = weight.flatten(1).sort(1).values.view_as(weight)
    assert (levels(rows, grid).flatten(1).diff(dim=1) >= 0).all()


@given(WEIGHTS, BITS, SCHEMES)
@settings(deadline=None)
def test_a_scale_per_channel_never_makes_a_coarser_grid(
    weight: Tensor, bits: int, scheme: str
) -> None:
    channel = QUANTIZERS[scheme](weight, bits, per_channel=True)
    tensor = QUANTIZERS[scheme](weight, bits, per_channel=False)
    assert (channel.scale <= tensor.scale).all()


@given(WEIGHTS, BITS, SCHEMES)
@settings(deadline=None)
def test_channels_do_not_see_each_other(weight: Tensor, bits: int, scheme: str) -> None:
    whole = levels(weight, QUANTIZERS[scheme](weight, bits, per_channel=True))
    alone = [levels(w, QUANTIZERS[scheme](w, bits, per_channel=False)) for w in weight.split(1)]
    assert torch.equal(whole, torch.cat(alone))


@given(WEIGHTS, BITS, SCHEMES, EITHER)
@settings(deadline=None, max_examples=30)
def test_least_squares_never_loses_to_the_full_range(
    weight: Tensor, bits: int, scheme: str, per_channel: bool
) -> None:
    full = QUANTIZERS[scheme](weight, bits, per_channel=per_channel)
    best = least_squares_grid(weight, QUANTIZERS[scheme], bits, per_channel=per_channel)
    errors = [(levels(weight, grid) - weight).square() for grid in (best, full)]
    if per_channel:
        errors = [error.flatten(1).sum(1) for error in errors]
        assert (errors[0] <= errors[1]).all()
    else:
        assert errors[0].sum() <= errors[1].sum()


def test_least_squares_clips_an_outlier() -> None:
    """Eight hundred small weights outweigh the 0.4 that the one large weight loses."""
    small = torch.linspace(-1, 1, 801)
    weight = torch.cat([small, torch.tensor([4.0])])[None]
    for scheme in QUANTIZERS:
        full = QUANTIZERS[scheme](weight, 3, per_channel=True)
        best = least_squares_grid(weight, QUANTIZERS[scheme], 3, per_channel=True)
        assert best.scale < 0.8 * full.scale
        by_hand = QUANTIZERS[scheme](weight, 3, per_channel=True, shrink=0.7)
        error = (levels(weight, best) - weight).square().sum()
        assert error <= (levels(weight, by_hand) - weight).square().sum()


def test_affine_spends_no_level_on_a_side_without_weights() -> None:
    weight = torch.tensor([[0.0, 0.5, 1.5]])
    grid = quantize_affine(weight, 2, per_channel=True)
    assert grid.codes(weight).tolist() == [[0, 1, 3]]
    assert (grid.scale.item(), grid.zero_point.item()) == (0.5, 0)
    mirrored = quantize_affine(-weight, 2, per_channel=True)
    assert (-weight).equal(levels(-weight, mirrored))
    assert mirrored.zero_point.item() == 3


@given(WEIGHTS, BITS, SCHEMES, EITHER, st.floats(0.0625, 1, width=32), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_gradient_passes_inside_the_clipping_range_and_stops_outside(
    weight: Tensor, bits: int, scheme: str, per_channel: bool, shrink: float, seed: int
) -> None:
    grid = QUANTIZERS[scheme](weight, bits, per_channel=per_channel, shrink=shrink)
    outer = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
    weight.requires_grad_()
    quantized = fake_quantize(weight, grid)
    assert torch.equal(quantized, levels(weight.detach(), grid))
    (gradient,) = torch.autograd.grad(quantized, weight, outer)
    # Clipping is visible: nothing else moves a weight by more than half a step.
    steps = (quantized.detach() - weight.detach()).abs() / grid.scale
    clipped, passed = steps > HALF, steps < 1 - HALF
    assert (gradient[clipped] == 0).all()
    assert torch.equal(gradient[passed], outer[passed])


@pytest.mark.parametrize("scheme", sorted(QUANTIZERS))
def test_the_scale_is_a_constant_in_the_gradient(scheme: str) -> None:
    weight = torch.tensor([[0.3, -0.7, 2.0]], requires_grad=True)
    grid = QUANTIZERS[scheme](weight.detach(), 4, per_channel=True)
    (gradient,) = torch.autograd.grad(fake_quantize(weight, grid).sum(), weight)
    assert torch.equal(gradient, torch.ones_like(weight))
