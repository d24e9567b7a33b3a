"""What ``pim-sim sweep`` does: sweep, choose, say."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pim_sim.atomic import replacing
from pim_sim.errors import InputError
from pim_sim.hardware import Hardware
from pim_sim.sweep.axes import parse_axis
from pim_sim.sweep.draw import draw
from pim_sim.sweep.explore import Region, pareto, region, tornado
from pim_sim.sweep.points import Sweep, sweep
from pim_sim.workload import Layer

MOST_SHOWN = 20


@dataclass(frozen=True)
class Exploration:
    """A sweep and what it says."""

    points: Sweep
    seconds: float
    """Time the sweep itself took."""
    front: list[dict[str, Any]]
    """The Pareto front of energy, delay, area and error, least energy first."""
    effects: list[tuple[str, float, float]]
    """Axis, lowest and highest energy factor with that axis alone moved."""
    regions: tuple[Region, Region]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, ready for JSON."""
        return {
            "points": len(self.points),
            "impossible": self.points.impossible,
            "points_per_second": len(self.points) / self.seconds,
            "pareto": self.front,
            "tornado": [
                {"axis": name, "energy_factor": [low, high]} for name, low, high in self.effects
            ],
            "region": [
                {
                    "reading": found.reading,
                    "factors": dict(found.factors),
                    "points": int(found.mask.sum()),
                    "bounds": dict(found.bounds),
                }
                for found in self.regions
            ],
        }

    def summary(self) -> str:
        """The same as text."""
        return "\n".join(
            [*self._counts(), "", *self._front(), "", *self._effects(), "", *self._regions()]
        )

    def _counts(self) -> Iterable[str]:
        rate = len(self.points) / self.seconds
        designs, impossible = len(self.points), self.points.impossible
        yield f"{designs:,} designs, {rate:,.0f} a second; {impossible:,} impossible"

    def _front(self) -> Iterable[str]:
        yield f"Pareto front of energy, delay, area and error: {len(self.front)} designs"
        for row in self.front[:MOST_SHOWN]:
            design = ", ".join(
                f"{name.rpartition('.')[2]} {row[name]}" for name in self.points.axes
            )
            yield (
                f"  {row['energy_pj'] / 1e3:9.4g} nJ {row['delay_ns'] / 1e3:9.4g} us "
                f"{row['area_mm2']:8.3g} mm2 {row['error']:6.1%}  {design}"
            )
        if len(self.front) > MOST_SHOWN:
            yield f"  and {len(self.front) - MOST_SHOWN} more (--json has them)"

    def _effects(self) -> Iterable[str]:
        yield "Energy factor with one axis moved, the others as in the file"
        for name, low, high in self.effects:
            yield f"  {name:32}{low:8.3f} to {high:.3f}"

    def _regions(self) -> Iterable[str]:
        for found in self.regions:
            needs = " / ".join(f"{factor:.2f}" for factor in found.factors.values())
            count = int(found.mask.sum())
            yield (
                f"ACE-SNN's figures read as {found.reading} (energy / delay / EDP {needs}): "
                f"{count:,} designs"
            )
            for name, bounds in found.bounds.items():
                ends = f"{bounds[0]} to {bounds[1]}" if isinstance(bounds, tuple) else bounds
                yield f"  {name:32}{ends}"


def explore(
    layer: Layer,
    hardware: Hardware,
    axes: Sequence[str],
    table: Path | None = None,
    picture: Path | None = None,
) -> Exploration:
    """Sweep over axes as on the command line; the points go to ``table``, drawn to ``picture``.

    Raises `InputError` for an axis that cannot be, no possible design, or a file that cannot be
    written.
    """
    parsed = dict(parse_axis(axis) for axis in axes)
    if len(parsed) < len(axes):
        raise InputError("--axis: found the same name twice, expected each once")
    start = time.perf_counter()
    points = sweep(layer, hardware, parsed)
    seconds = time.perf_counter() - start
    if not len(points):
        raise InputError("--axis: found no design whose columns hold a weight of the layer")
    regions = region(points)
    if picture is not None:
        draw(points, regions, picture)
    if table is not None:
        write_csv(points, table)
    front = pareto(points)
    front = front[np.argsort(points.results["energy_pj"][front], kind="stable")]
    columns = points.columns
    return Exploration(
        points=points,
        seconds=seconds,
        front=[{name: values[i].item() for name, values in columns.items()} for i in front],
        effects=tornado(layer, hardware, parsed),
        regions=regions,
    )


def write_csv(points: Sweep, target: Path) -> None:
    """One line a design, axes first; whole or not at all. `InputError` if it cannot be written."""
    columns = points.columns
    with replacing(target) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
