"""Exploration of a sweep: its points, the Pareto front, the effects of axes and the regions."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pim_sim.errors import InputError
from pim_sim.hardware import Hardware
from pim_sim.io import replacing
from pim_sim.sweep.axes import parse_axis
from pim_sim.sweep.claims import DEFAULT_CLAIM, Claim, parse_claim
from pim_sim.sweep.intervals import with_intervals
from pim_sim.sweep.measured_accuracy import MeasuredAccuracy
from pim_sim.sweep.on_dask import sweep_large
from pim_sim.sweep.pareto import Region, front_rows, regions, tornado
from pim_sim.sweep.points import Grid, Sweep, sweep
from pim_sim.workload import Layer


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """The result of a sweep."""

    axes: tuple[str, ...]
    designs: int
    impossible: int
    """Combinations left out because a weight does not fit their columns."""
    computed: int
    """Combinations computed now, without those of an earlier, stopped sweep."""
    seconds: float
    """Time of the computation."""
    front: list[dict[str, Any]]
    """The Pareto front of energy, delay, area and accuracy, by energy, with 80 % intervals."""
    effects: list[tuple[str, float, float]]
    """Axis, lowest and highest energy factor with only that axis moved."""
    regions: list[dict[str, Any]]
    """`Region.to_dict` of each reading of the claim."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, ready for JSON."""
        return {
            "points": self.designs,
            "impossible": self.impossible,
            "computed": self.computed,
            "points_per_second": self.computed / self.seconds,
            "pareto": self.front,
            "tornado": [
                {"axis": name, "energy_factor": [low, high]} for name, low, high in self.effects
            ],
            "region": self.regions,
        }


@dataclass(frozen=True)
class Explored:
    """A sweep that was held in memory: its result, its points and where the claim holds."""

    result: Exploration
    points: Sweep
    regions: tuple[Region, ...]


def explore(
    layer: Layer,
    hardware: Hardware,
    axes: Sequence[str],
    *,
    accuracy: MeasuredAccuracy | None = None,
    claims: Sequence[Claim] | None = None,
) -> Explored:
    """Sweep over axes as on the command line, in memory.

    Raises `InputError` for an impossible axis, or no possible design.
    """
    parsed = _parsed(axes)
    start = time.perf_counter()
    points = sweep(layer, hardware, parsed, accuracy=accuracy)
    seconds = time.perf_counter() - start
    _require_designs(len(points))
    found = regions(points, parse_claim(DEFAULT_CLAIM) if claims is None else claims)
    result = Exploration(
        axes=tuple(parsed),
        designs=len(points),
        impossible=points.impossible,
        computed=len(points) + points.impossible,
        seconds=seconds,
        front=with_intervals(layer, hardware, parsed, front_rows(points)),
        effects=tornado(layer, hardware, parsed),
        regions=[region.to_dict() for region in found],
    )
    return Explored(result, points, found)


def explore_large(
    layer: Layer,
    hardware: Hardware,
    axes: Sequence[str],
    folder: Path,
    *,
    scheduler: str | None = None,
    accuracy: MeasuredAccuracy | None = None,
    claims: Sequence[Claim] | None = None,
) -> Exploration:
    """Sweep over axes on Dask, with the points as Parquet files in ``folder``.

    Raises `InputError` as `explore` and `pim_sim.sweep.on_dask.sweep_large`.
    """
    parsed = _parsed(axes)
    start = time.perf_counter()
    grid = Grid.of(layer, hardware, parsed, accuracy=accuracy, claims=claims)
    found, computed = sweep_large(grid, folder, scheduler)
    seconds = time.perf_counter() - start
    _require_designs(found.designs)
    return Exploration(
        axes=tuple(parsed),
        designs=found.designs,
        impossible=found.impossible,
        computed=computed,
        seconds=seconds,
        front=with_intervals(layer, hardware, parsed, found.front),
        effects=tornado(layer, hardware, parsed),
        regions=found.regions,
    )


def write_csv(points: Sweep, target: Path) -> None:
    """Write one line per design, axes first; `InputError` as `pim_sim.io.replacing`."""
    columns = points.columns
    with replacing(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))


def _parsed(axes: Sequence[str]) -> dict[str, list[Any]]:
    parsed = dict(parse_axis(axis) for axis in axes)
    if len(parsed) < len(axes):
        raise InputError("--axis: found the same name twice, expected each once")
    return parsed


def _require_designs(count: int) -> None:
    if not count:
        raise InputError("--axis: found no design whose columns hold a weight of the layer")
