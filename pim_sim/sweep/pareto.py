"""Pareto front of a sweep, effect of each axis, and the region where a claim holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_sim.errors import InputError
from pim_sim.hardware import Hardware
from pim_sim.sweep.claims import Claim
from pim_sim.sweep.points import Sweep, sweep
from pim_sim.workload import Layer

_BLOCK = 4096
COSTS = ("energy_pj", "delay_ns", "area_mm2")


@dataclass(frozen=True)
class Region:
    """Points that reach a claim, in one reading of it."""

    claim: Claim
    mask: NDArray[np.bool_]
    """The points that reach all factors."""
    bounds: Mapping[str, list[Any]]
    """Of those points, the lowest and highest value of each axis and of a measured accuracy, or the
    words an axis takes."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, ready for JSON, with the number of points for the mask."""
        return {
            "claim": self.claim.title,
            "reading": self.claim.reading,
            "factors": dict(self.claim.factors),
            "points": int(self.mask.sum()),
            "bounds": dict(self.bounds),
        }


def pareto(swept: Sweep) -> NDArray[np.intp]:
    """Return indices of the points that no other beats in one objective and equals in the rest.

    The objectives are energy, delay, area, and the measured accuracy where available, the
    estimated error of quantization otherwise. Of points with equal costs the first is kept.
    """
    return undominated(costs(swept.results))


def costs(results: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the objectives, less is better: [points, objectives]."""
    worse = -results["oa"] if "oa" in results else results["quantization_error"]
    return np.column_stack([*(results[name] for name in COSTS), worse])


def undominated(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the indices of `pareto` for a table of `costs`."""
    order = np.lexsort(points.T[::-1])  # by the first objective, then the next, then by place
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(points[order], axis=0) != 0).any(axis=1)
    places = order[new]
    columns = [np.ascontiguousarray(column) for column in points[places].T]
    left = np.arange(len(places))
    while len(left) > _BLOCK:  # a point beaten within its block is not compared with the others
        blocks = np.split(left, range(_BLOCK, len(left), _BLOCK))
        kept = np.concatenate([_front(columns, block) for block in blocks])
        few, left = len(kept) < 0.7 * len(left), kept
        if not few:
            break
    return np.sort(places[_front(columns, left)])


def _front(columns: list[NDArray[np.float64]], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return those of the rows, rising, of a sorted table without doubles that none beats.

    The row of the smallest sum is beaten by none and beats most others; of equal sums, which
    rounding may make, the first.
    """
    taken = [column[rows] for column in columns]
    sums = sum(values / np.abs(values).max(initial=1e-300) for values in taken)
    rows = rows[np.argsort(sums, kind="stable")]
    left = [column[rows] for column in columns]
    front: list[int] = []
    while len(rows):
        front.append(int(rows[0]))
        better = np.logical_or.reduce([column < column[0] for column in left])
        rows, left = rows[better], [column[better] for column in left]
    return np.array(sorted(front), dtype=np.intp)


def front_rows(swept: Sweep) -> list[dict[str, Any]]:
    """Return axes and results of the Pareto front, by energy, as plain numbers and words."""
    front = pareto(swept)
    front = front[np.argsort(swept.results["energy_pj"][front], kind="stable")]
    columns = swept.columns
    return [{name: values[i].item() for name, values in columns.items()} for i in front]


def tornado(
    layer: Layer, hardware: Hardware, axes: Mapping[str, Sequence[Any]]
) -> list[tuple[str, float, float]]:
    """Return the effect of each single axis on the energy factor of the hardware as it is.

    (axis, lowest factor, highest factor), the axis of the largest effect first.
    """
    rows = []
    for name, values in axes.items():
        factors = sweep(layer, hardware, {name: values}).results["energy_factor"]
        if not len(factors):
            raise InputError(
                f"--axis {name}: found no value whose columns hold a weight of the layer"
            )
        rows.append((name, float(factors.min()), float(factors.max())))
    return sorted(rows, key=lambda row: row[1] / row[2])


def regions(swept: Sweep, claims: Sequence[Claim]) -> tuple[Region, ...]:
    """Return the points that reach each reading of a claim."""
    return tuple(_region(swept, claim) for claim in claims)


def _region(swept: Sweep, claim: Claim) -> Region:
    mask = np.logical_and.reduce(
        [swept.results[f"{name}_factor"] >= factor for name, factor in claim.factors.items()]
    )
    bounded = dict(swept.axes)
    if "oa" in swept.results:
        bounded["oa"] = swept.results["oa"]
    return Region(
        claim=claim,
        mask=mask,
        bounds={name: _range(values[mask]) for name, values in bounded.items()}
        if mask.any()
        else {},
    )


def _range(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind in "iuf":
        return [values.min().item(), values.max().item()]
    return sorted(str(value) for value in np.unique(values))
