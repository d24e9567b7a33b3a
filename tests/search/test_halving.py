"""Survivors of a rung and the choice under limits, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnquant.search.halving import MIN_SIZE, emptiness, nearest, rung_sizes, shares, survivors

# Few different values, so that ties and equal points occur.
POINTS = st.lists(
    st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), min_size=1, max_size=24
).map(np.array)


def _beats(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool((one <= other).all() and (one < other).any())


@given(POINTS, st.integers(1, 30))
def test_nothing_that_is_dropped_beats_what_is_kept(
    points: NDArray[np.float64], number: int
) -> None:
    kept = survivors(points, number)
    assert kept == sorted(set(kept))
    assert len(kept) == min(number, len(points))
    for dropped in set(range(len(points))) - set(kept):
        assert not any(_beats(points[dropped], points[row]) for row in kept)


@given(POINTS, st.integers(1, 30))
def test_the_best_by_either_objective_survives(points: NDArray[np.float64], number: int) -> None:
    kept = survivors(points, number)
    assert points[kept, 0].min() == points[:, 0].min() or number == 1
    if number >= 2:
        assert points[kept, 1].min() == points[:, 1].min()


@given(POINTS, st.integers(1, 10))
def test_survivors_of_fewer_places_survive_with_more(
    points: NDArray[np.float64], number: int
) -> None:
    assert set(survivors(points, number)) <= set(survivors(points, number + 1))


def test_the_emptiest_places_of_a_front_are_kept() -> None:
    crowded = np.array([[0.0, 10.0], [1.0, 9.0], [1.1, 8.9], [5.0, 4.0], [10.0, 0.0]])
    assert emptiness(crowded)[1:4].argsort().tolist() == [0, 1, 2]
    assert survivors(crowded, 3) == [0, 3, 4]


@given(st.integers(1, 500), st.integers(1, 6), st.floats(1.1, 10))
def test_rungs_shrink_while_epochs_grow(number: int, rungs: int, reduction: float) -> None:
    sizes, parts = rung_sizes(number, rungs, reduction), shares(rungs, reduction)
    assert len(sizes) == len(parts) == rungs
    assert (sizes[0], parts[-1]) == (number, 1.0)
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) >= min(number, MIN_SIZE)
    assert parts == sorted(parts)


LIMITS = st.none() | st.integers(1, 6).map(float)


@given(POINTS, LIMITS, LIMITS)
def test_the_choice_keeps_the_limits_where_any_does(
    points: NDArray[np.float64], max_error: float | None, max_energy: float | None
) -> None:
    errors, energies = points.T.tolist()
    row, reached = nearest(errors, energies, max_error, max_energy)
    within = [
        (error, energy)
        for error, energy in points.tolist()
        if error <= (max_error or np.inf) and energy <= (max_energy or np.inf)
    ]
    assert reached == bool(within)
    if max_energy is not None and within:
        assert (errors[row], energies[row]) == min(within)
    elif within:
        assert energies[row] == min(energy for _, energy in within)


@pytest.mark.parametrize(
    ("max_error", "max_energy", "row"),
    [(0.5, None, 0), (None, 4.0, 2), (0.9, 9.0, 1)],
)
def test_without_any_the_one_that_misses_by_the_smallest_factor(
    max_error: float | None, max_energy: float | None, row: int
) -> None:
    assert nearest([1.0, 1.2, 9.0], [40.0, 10.0, 5.0], max_error, max_energy) == (row, False)
