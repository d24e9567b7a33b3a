"""What the points of a sweep say: the best of them, what moves them, where a claim holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_sim.errors import InputError
from pim_sim.hardware import Hardware
from pim_sim.results import ACE_SNN_PERCENT
from pim_sim.sweep.points import Sweep, sweep
from pim_sim.workload import Layer

OBJECTIVES = ("energy_pj", "delay_ns", "area_mm2", "error")


@dataclass(frozen=True)
class Region:
    """Where ACE-SNN's figures hold, in one reading of "better by so many percent"."""

    reading: str
    """``factors``: 30 % better is 1.3 times less. ``savings``: it is 30 % less."""
    factors: Mapping[str, float]
    """What the energy, delay and EDP factors must reach."""
    mask: NDArray[np.bool_]
    """The points that reach all three."""
    bounds: Mapping[str, tuple[Any, Any] | list[str]]
    """Of those points, the lowest and highest value of each axis, or the words it takes."""


def pareto(swept: Sweep, objectives: Sequence[str] = OBJECTIVES) -> NDArray[np.intp]:
    """Indices of the points that no other beats in one objective and equals in the rest.

    All objectives are costs. Of points with equal costs the first is kept.
    """
    costs = np.column_stack([swept.results[name] for name in objectives])
    _, first = np.unique(costs, axis=0, return_index=True)
    front: list[int] = []
    left = first  # sorted by the first objective, then the next: no point beats an earlier one
    while len(left):
        best, left = int(left[0]), left[1:]
        front.append(best)
        left = left[np.any(costs[left] < costs[best], axis=1)]
    return np.array(sorted(front), dtype=np.intp)


def tornado(
    layer: Layer, hardware: Hardware, axes: Mapping[str, Sequence[Any]]
) -> list[tuple[str, float, float]]:
    """How far each axis alone moves the energy factor from the hardware as it is.

    (axis, lowest factor, highest factor), the axis that moves it most first.
    """
    rows = []
    for name, values in axes.items():
        factors = sweep(layer, hardware, {name: values}).results["energy_factor"]
        if not len(factors):
            raise InputError(f"--axis {name}: no value of it fits a weight of the layer")
        rows.append((name, float(factors.min()), float(factors.max())))
    return sorted(rows, key=lambda row: row[1] / row[2])


def region(swept: Sweep) -> tuple[Region, Region]:
    """The points that reach ACE-SNN's 30 / 7 / 38 %, read as factors and as savings."""
    percents = {name: percent / 100 for name, percent in ACE_SNN_PERCENT.items()}
    return (
        _region(swept, "factors", {name: 1 + percent for name, percent in percents.items()}),
        _region(swept, "savings", {name: 1 / (1 - percent) for name, percent in percents.items()}),
    )


def _region(swept: Sweep, reading: str, factors: Mapping[str, float]) -> Region:
    reached = [swept.results[f"{name}_factor"] >= factor for name, factor in factors.items()]
    mask = np.logical_and.reduce(reached)
    return Region(
        reading=reading,
        factors=factors,
        mask=mask,
        bounds={name: _range(values[mask]) for name, values in swept.axes.items()}
        if mask.any()
        else {},
    )


def _range(values: NDArray[Any]) -> tuple[Any, Any] | list[str]:
    if values.dtype.kind in "iuf":
        return values.min().item(), values.max().item()
    return sorted(str(value) for value in np.unique(values))
