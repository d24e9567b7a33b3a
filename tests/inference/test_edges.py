"""Smoothing within edges: what it averages, how far it reaches, and fields that stay apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from snnquant.inference import Edges, Judged, Strength, choose_smoothing, smooth
from snnquant.inference.edges import mean_within_edges, reach_of_passes


@pytest.fixture
def probabilities() -> np.ndarray:
    draw = np.random.default_rng(0)
    return softmax(draw.normal(size=(40, 30, 4)), axis=2).astype(np.float32)


@pytest.fixture
def guide() -> np.ndarray:
    return np.random.default_rng(1).normal(scale=0.3, size=(40, 30, 3)).astype(np.float32)


@pytest.fixture
def valid() -> np.ndarray:
    mask = np.random.default_rng(2).random((40, 30)) < 0.8
    mask[:5, :5] = False
    return mask


@pytest.mark.parametrize("passes", [0, 1, 3, 6])
def test_a_constant_map_stays_and_sums_stay_1(passes, probabilities, valid, guide) -> None:
    constant = np.broadcast_to(np.array([0.7, 0.2, 0.1], np.float32), (40, 30, 3))
    found = mean_within_edges(constant, valid, guide, passes)
    np.testing.assert_allclose(found[valid], constant[valid], rtol=1e-5)
    sums = mean_within_edges(probabilities, valid, guide, passes).sum(2)
    np.testing.assert_allclose(sums, valid, atol=1e-5)


def test_pixels_without_data_have_no_part(probabilities, valid, guide) -> None:
    known = valid[..., None]
    gaps = np.where(known, probabilities, np.float32(np.nan)), np.where(known, guide, np.nan)
    found = mean_within_edges(gaps[0], valid, gaps[1].astype(np.float32), 3)
    np.testing.assert_array_equal(found, mean_within_edges(probabilities, valid, guide, 3))


def test_one_pass_is_the_weighted_mean_of_the_neighbours(probabilities, guide) -> None:
    valid, row, column = np.ones((40, 30), bool), 7, 9
    sums, total = np.zeros(4), 0.0
    for other in np.ndindex(3, 3):
        down, right = other[0] - 1, other[1] - 1
        difference = guide[row + down, column + right] - guide[row, column]
        weight = np.exp(-(down**2 + right**2) / 2 - (difference**2).sum() / (2 * 0.3**2))
        sums, total = sums + weight * probabilities[row + down, column + right], total + weight
    found = mean_within_edges(probabilities, valid, guide, 1)[row, column]
    np.testing.assert_allclose(found, sums / total, rtol=1e-5)


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_it_reaches_as_far_as_it_says(passes, probabilities, guide) -> None:
    valid, reach = np.ones((40, 30), bool), reach_of_passes(passes)
    whole = mean_within_edges(probabilities, valid, guide, passes)
    part = slice(20 - reach, 20 + reach + 1), slice(12 - reach, 12 + reach + 1)
    alone = mean_within_edges(probabilities[part], valid[part], guide[part], passes)
    np.testing.assert_allclose(alone[reach, reach], whole[20, 12], rtol=1e-5)
    smaller = tuple(slice(own.start + 1, own.stop - 1) for own in part)
    alone = mean_within_edges(probabilities[smaller], valid[smaller], guide[smaller], passes)
    assert not np.allclose(alone[reach - 1, reach - 1], whole[20, 12], rtol=1e-5)


def two_fields() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noisy probabilities, the guide and the truth of a narrow field in a wide one."""
    truth = np.zeros((40, 40), int)
    truth[:, 18:21] = 1
    draw = np.random.default_rng(3)
    cube = (truth * 5.0)[..., None] + draw.normal(scale=0.3, size=(40, 40, 6))
    flipped = truth ^ (draw.random(truth.shape) < 0.2)
    first = np.where(flipped, 0.3, 0.7)
    guide = Edges.of(cube.reshape(-1, 6).astype(np.float32))(cube.astype(np.float32))
    return np.stack([first, 1 - first], axis=2).astype(np.float32), guide, truth


def test_a_narrow_field_survives_that_a_gaussian_wipes_out() -> None:
    probabilities, guide, truth = two_fields()
    valid = np.ones(truth.shape, bool)
    within = mean_within_edges(probabilities, valid, guide, 4).argmax(2) == truth
    assert within[truth == 1].mean() > 0.95
    assert within.mean() > 0.98
    assert (smooth(probabilities, valid, 4).argmax(2) == truth)[truth == 1].mean() < 0.2


def test_held_out_blocks_choose_it_and_pixels_amid_training_do_not() -> None:
    probabilities, guide, truth = two_fields()
    maps = [Judged(probabilities, np.arange(truth.size), truth.ravel())]
    valid = np.ones(truth.shape, bool)
    assert choose_smoothing(maps, valid, guide).passes > 1
    assert choose_smoothing(maps, valid).passes == 0


def test_a_field_without_edges_is_a_guide_of_zeros() -> None:
    flat = np.ones((50, 4), np.float32)
    np.testing.assert_array_equal(Edges.of(flat)(flat[None]), np.zeros((1, 50, 3)))
    assert Strength(passes=6).reach == 63
