"""What ``pim-sim sweep`` does: sweep, choose, say."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pim_sim.atomic import replacing
from pim_sim.errors import InputError
from pim_sim.hardware import Hardware
from pim_sim.sweep.accuracy import MeasuredAccuracy
from pim_sim.sweep.axes import parse_axis
from pim_sim.sweep.draw import draw
from pim_sim.sweep.explore import front_rows, region, tornado
from pim_sim.sweep.points import Grid, Sweep, sweep
from pim_sim.workload import Layer

MOST_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """What a sweep says."""

    axes: tuple[str, ...]
    designs: int
    impossible: int
    """Combinations left out because a weight does not fit their columns."""
    computed: int
    """Combinations computed now: all but those that an earlier, stopped sweep had done."""
    seconds: float
    """Time that took."""
    front: list[dict[str, Any]]
    """The Pareto front of energy, delay, area and accuracy, least energy first."""
    effects: list[tuple[str, float, float]]
    """Axis, lowest and highest energy factor with that axis alone moved."""
    regions: list[dict[str, Any]]
    """`Region.to_dict` of both readings."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, ready for JSON."""
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

    def summary(self) -> str:
        """The same as text."""
        return "\n".join(
            [*self._counts(), "", *self._front(), "", *self._effects(), "", *self._regions()]
        )

    def _counts(self) -> Iterable[str]:
        yield (
            f"{self.designs:,} designs, {self.impossible:,} impossible; "
            f"{self.computed:,} computed at {self.computed / self.seconds:,.0f} a second"
        )

    def _front(self) -> Iterable[str]:
        measured = "oa" in self.front[0]
        worth = "measured OA" if measured else "estimated error of quantization"
        yield f"Pareto front of energy, delay, area and {worth}: {len(self.front)} designs"
        for row in self.front[:MOST_SHOWN]:
            design = ", ".join(f"{name.rpartition('.')[2]} {row[name]}" for name in self.axes)
            yield (
                f"  {row['energy_pj'] / 1e3:9.4g} nJ {row['delay_ns'] / 1e3:9.4g} us "
                f"{row['area_mm2']:8.3g} mm2 "
                f"{row['oa' if measured else 'quantization_error']:6.1%}  {design}"
            )
        if len(self.front) > MOST_SHOWN:
            yield f"  and {len(self.front) - MOST_SHOWN} more (--json has them)"

    def _effects(self) -> Iterable[str]:
        yield "Energy factor with one axis moved, the others as in the file"
        for name, low, high in self.effects:
            yield f"  {name:32}{low:8.3f} to {high:.3f}"

    def _regions(self) -> Iterable[str]:
        for found in self.regions:
            needs = " / ".join(f"{factor:.2f}" for factor in found["factors"].values())
            yield (
                f"ACE-SNN's figures read as {found['reading']} (energy / delay / EDP {needs}): "
                f"{found['points']:,} designs"
            )
            for name, bounds in found["bounds"].items():
                words = isinstance(bounds[0], str)
                yield f"  {name:32}{', '.join(bounds) if words else f'{bounds[0]} to {bounds[1]}'}"


def explore(
    layer: Layer,
    hardware: Hardware,
    axes: Sequence[str],
    *,
    table: Path | None = None,
    picture: Path | None = None,
    accuracy: MeasuredAccuracy | None = None,
) -> Exploration:
    """Sweep over axes as on the command line; the points go to ``table``, drawn to ``picture``.

    Raises `InputError` for an axis that cannot be, no possible design, or a file that cannot be
    written.
    """
    parsed = _parsed(axes)
    start = time.perf_counter()
    points = sweep(layer, hardware, parsed, accuracy=accuracy)
    seconds = time.perf_counter() - start
    _require_designs(len(points))
    regions = region(points)
    if picture is not None:
        draw(points, regions, picture)
    if table is not None:
        write_csv(points, table)
    return Exploration(
        axes=tuple(parsed),
        designs=len(points),
        impossible=points.impossible,
        computed=len(points) + points.impossible,
        seconds=seconds,
        front=front_rows(points),
        effects=tornado(layer, hardware, parsed),
        regions=[found.to_dict() for found in regions],
    )


def explore_large(
    layer: Layer,
    hardware: Hardware,
    axes: Sequence[str],
    folder: Path,
    scheduler: str | None = None,
    accuracy: MeasuredAccuracy | None = None,
) -> Exploration:
    """As `explore`, but on Dask, with the points as Parquet files in ``folder``.

    Raises `InputError` as `explore` and `pim_sim.sweep.large.sweep_large`.
    """
    from pim_sim.sweep.large import sweep_large

    parsed = _parsed(axes)
    start = time.perf_counter()
    grid = Grid.of(layer, hardware, parsed, accuracy=accuracy)
    found, computed = sweep_large(grid, folder, scheduler)
    seconds = time.perf_counter() - start
    _require_designs(found.designs)
    return Exploration(
        axes=tuple(parsed),
        designs=found.designs,
        impossible=found.impossible,
        computed=computed,
        seconds=seconds,
        front=found.front,
        effects=tornado(layer, hardware, parsed),
        regions=found.regions,
    )


def _parsed(axes: Sequence[str]) -> dict[str, list[Any]]:
    parsed = dict(parse_axis(axis) for axis in axes)
    if len(parsed) < len(axes):
        raise InputError("--axis: found the same name twice, expected each once")
    return parsed


def _require_designs(count: int) -> None:
    if not count:
        raise InputError("--axis: found no design whose columns hold a weight of the layer")


def write_csv(points: Sweep, target: Path) -> None:
    """One line a design, axes first; whole or not at all. `InputError` if it cannot be written."""
    columns = points.columns
    with replacing(target) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
