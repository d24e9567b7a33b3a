"""Successive halving by two objectives: sizes of the rungs, and those that train longer.

Jamieson & Talwalkar, AISTATS 2016: all candidates get a small budget, the best share of them gets a
larger one, and so forth. Here the best are those of the first non-dominated fronts of error and
energy, and within the front that does not fit whole, those in the emptiest places (Deb et al.,
IEEE TEVC 2002).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pim_sim.sweep.pareto import undominated

Points = NDArray[np.float64]
"""Objectives [candidates, objectives]; less is better."""
MIN_SIZE = 4
"""Candidates below which no rung shrinks: two would be only the ends of a front."""


def rung_sizes(candidates: int, rungs: int, reduction: float) -> list[int]:
    """Return the candidates of every rung, first rung first.

    >>> rung_sizes(54, rungs=3, reduction=3)
    [54, 18, 6]
    """
    sizes = [candidates]
    for _ in range(rungs - 1):
        sizes.append(max(min(MIN_SIZE, sizes[-1]), round(sizes[-1] / reduction)))
    return sizes


def shares(rungs: int, reduction: float) -> list[float]:
    """Return the share of all epochs that every rung trains for; the last one trains for all.

    >>> shares(3, 2)
    [0.25, 0.5, 1.0]
    """
    return [float(reduction) ** (rung - rungs) for rung in range(1, rungs + 1)]


def survivors(points: Points, number: int) -> list[int]:
    """Return the rows that train longer, in rising order: whole fronts while they fit.

    Args:
        points: Objectives.
        number: Max rows.

    >>> survivors(np.array([[1.0, 9.0], [2.0, 9.0], [5.0, 1.0]]), 2)
    [0, 2]
    """
    kept: list[int] = []
    left = np.arange(len(points))
    while len(left) and len(kept) < number:
        front = left[undominated(points[left])]
        order = np.argsort(-emptiness(points[front]), kind="stable")
        kept += front[order][: number - len(kept)].tolist()
        left = np.setdiff1d(left, front)
    return sorted(kept)


def emptiness(points: Points) -> NDArray[np.float64]:
    """Return the crowding distance of every row of a front; infinite for the best by an objective.

    >>> emptiness(np.array([[0.0, 4.0], [1.0, 3.0], [4.0, 0.0]])).tolist()
    [inf, 2.0, inf]
    """
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        width = ranked[-1] - ranked[0]
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (ranked[2:] - ranked[:-2]) / (width or 1.0)
    return distance


def nearest(
    errors: Sequence[float],
    energies: Sequence[float],
    max_error: float | None,
    max_energy: float | None,
) -> tuple[int, bool]:
    """Return the row that keeps both limits best, and whether it keeps them.

    Of rows within the limits: the one of the min error where the energy is limited, else that of
    the min energy. Without any: the one that misses a limit by the smallest factor.

    >>> nearest([2.0, 1.0], [10.0, 30.0], max_error=None, max_energy=20.0)
    (0, True)
    >>> nearest([2.0, 1.0], [10.0, 30.0], max_error=1.5, max_energy=20.0)
    (0, False)
    """
    rows = range(len(errors))
    missed = [
        max(
            0.0 if max_error is None else errors[row] / max_error,
            0.0 if max_energy is None else energies[row] / max_energy,
        )
        for row in rows
    ]
    within = [row for row in rows if missed[row] <= 1]
    if not within:
        return min(rows, key=lambda row: missed[row]), False
    if max_energy is None:
        return min(within, key=lambda row: (energies[row], errors[row])), True
    return min(within, key=lambda row: (errors[row], energies[row])), True
