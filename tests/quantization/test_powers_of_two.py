"""Tests of weights on powers of two: brute force, the published closed form, known errors."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snnquant.quantization.powers_of_two import SEARCHES, Powers, exact, levels_per_sign, threshold

EACH_SEARCH = pytest.mark.parametrize("search", SEARCHES)


def squared_error(weight: Tensor, found: Powers) -> float:
    return (found.values(weight.dtype) - weight).square().sum().item()


def brute_force(weight: Tensor, bits: int) -> float:
    """Return the least squared error over every choice of levels and shift, with the signs of w."""
    powers = [0.0] + [2.0**-t for t in range(levels_per_sign(bits))]
    choices = torch.tensor(list(itertools.product(powers, repeat=weight.numel())))
    best = math.inf
    for shift in range(-9, 5):
        error = (choices.double() * 2.0**shift - weight.abs()).square().sum(1)
        best = min(best, error.min().item())
    return best


@pytest.mark.parametrize(("bits", "largest", "cases"), [(2, 7, 500), (3, 6, 300), (4, 4, 200)])
def test_no_choice_of_levels_is_better(bits: int, largest: int, cases: int) -> None:
    generator = torch.Generator().manual_seed(bits)
    mismatches = 0
    for case in range(cases):
        scale = torch.empty((), dtype=torch.float64).uniform_(0.05, 2, generator=generator)
        size = case % largest + 1
        weight = torch.randn(1, size, generator=generator, dtype=torch.float64) * scale
        if case % 3 == 0:  # one weight that is far from the others
            weight[0, 0] *= 8
        least = brute_force(weight, bits)
        mismatches += squared_error(weight, exact(weight, bits, per_channel=False)) > least + 1e-12
    assert mismatches == 0


def sorted_scan(weight: Tensor) -> float:
    """Return the least error at 2 bits by the paper's closed form over the k largest weights."""
    kept = weight.abs().flatten().sort(descending=True).values.cumsum(0)
    k = torch.arange(1, len(kept) + 1)
    scale = torch.exp2((4 * kept / (3 * k)).log2().floor())
    return (weight.square().sum() - 2 * scale * kept + k * scale.square()).min().item()


def test_two_bits_reach_the_published_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    for size in (1, 2, 5, 40, 900):
        for _ in range(20):
            weight = torch.randn(1, size, generator=generator, dtype=torch.float64).pow(3)
            found = squared_error(weight, exact(weight, 2, per_channel=False))
            assert found == pytest.approx(sorted_scan(weight), rel=1e-9)


def relative_error(bits: int, search: str, size: int = 10_000) -> float:
    weight = torch.randn(1, size, generator=torch.Generator().manual_seed(0)) * 0.05
    found = SEARCHES[search](weight, bits, per_channel=False)
    return squared_error(weight, found) / weight.square().sum().item()


@pytest.mark.parametrize(
    ("bits", "expected"), [(2, 0.192), (3, 0.111), (4, 0.040), (5, 0.038), (6, 0.038)]
)
def test_error_of_gaussian_weights(bits: int, expected: float) -> None:
    assert relative_error(bits, "exact") == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize(("bits", "least"), [(3, 0.4), (4, 0.05), (5, 0.045), (6, 0.045)])
def test_the_threshold_rule_is_coarser(bits: int, least: float) -> None:
    """Its error follows the largest weight: 0.42-0.65 at 3 bits, 0.05-0.15 above."""
    found = relative_error(bits, "threshold")
    assert least <= found <= 0.65
    assert found > 1.2 * relative_error(bits, "exact")


def test_more_than_five_bits_buy_nothing() -> None:
    assert relative_error(8, "exact") == relative_error(6, "exact")
    assert relative_error(8, "exact") > 0.99 * relative_error(5, "exact")


@EACH_SEARCH
@given(
    st.integers(3, 8), st.booleans(), st.integers(0, 2**31), st.sampled_from([(6, 4), (5, 2, 3)])
)
@settings(deadline=None, max_examples=40)
def test_levels_are_signed_powers_of_two(
    search: str, bits: int, per_channel: bool, seed: int, shape: tuple[int, ...]
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    found = SEARCHES[search](weight, bits, per_channel=per_channel)
    assert found.exponent.max() <= 0
    assert found.exponent.min() > -levels_per_sign(bits)
    assert found.shift.numel() == (len(weight) if per_channel else 1)
    values = found.values(weight.dtype)
    assert ((values == 0) | (values.sign() == weight.sign())).all()
    mantissa = torch.frexp(values.abs()).mantissa
    assert ((mantissa == 0.5) | (values == 0)).all()
    assert len(values.unique()) <= (2 * levels_per_sign(bits) + 1) * found.shift.numel()


@EACH_SEARCH
def test_a_power_of_two_passes_through(search: str) -> None:
    weight = torch.tensor([[0.5, -0.25, 0.0], [8.0, 4.0, -8.0]])
    found = SEARCHES[search](weight, 3, per_channel=True)
    assert torch.equal(found.values(weight.dtype), weight)
    halved = SEARCHES[search](weight / 2, 3, per_channel=True)
    assert torch.equal(halved.shift, found.shift - 1)


@EACH_SEARCH
def test_a_channel_sees_no_other(search: str) -> None:
    weight = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(3))
    whole = SEARCHES[search](weight, 4, per_channel=True).values(weight.dtype)
    rows = [SEARCHES[search](w, 4, per_channel=False).values(w.dtype) for w in weight.split(1)]
    assert torch.equal(whole, torch.cat(rows))


@EACH_SEARCH
def test_silent_channels_and_tiny_weights_stay_finite(search: str) -> None:
    weight = torch.tensor([[0.0, 0.0], [1e-38, -1e-38], [1e30, 1.0], [0.5, 0.1]])
    values = SEARCHES[search](weight, 8, per_channel=True).values(weight.dtype)
    assert values.isfinite().all()
    assert values[0].tolist() == [0, 0]


def test_the_rule_by_hand() -> None:
    """With mu = 0.6: 0.8 -> 1, 0.55 -> 1/2, 0.31 -> 1/2, 0.29 -> 0; s = floor(log2(4/3 0.82))."""
    weight = torch.tensor([[0.8, 0.55, 0.31, 0.29]])
    found = threshold(weight, 3, per_channel=False)
    assert found.exponent.tolist() == [[0, -1, -1, 0]]
    assert found.sign.tolist() == [[1, 1, 1, 0]]
    assert found.shift.item() == math.floor(math.log2(4 / 3 * (0.8 + 0.43) / 1.5))
