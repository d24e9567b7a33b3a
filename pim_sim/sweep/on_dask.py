"""Sweeps that need not fit into memory: on Dask, to a folder of Parquet files, and resumable.

The folder is a Parquet data set: every file except `_sweep.json`, which describes the sweep, is a
part of the points. A part is written whole or not at all, so a stopped sweep resumes with the
missing parts. Each part carries the summary of its points: counts, the Pareto front and the
regions, which add up, so a sweep of any size is summarised from the ends of its files.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pim_sim.cluster import code_digest, computed, connected
from pim_sim.errors import InputError
from pim_sim.io import replacing, require_extra, write_json
from pim_sim.schema import check_table
from pim_sim.sweep.pareto import costs, front_rows, regions, undominated
from pim_sim.sweep.points import Grid

PART_POINTS = 250_000
"""Combinations per part: a second or less of work, some 10 MB."""
MAX_LARGE = 10_000_000_000
PACKAGES = ("pim_sim",)
"""Packages that workers must have with the same code."""
_KEY = b"pim_sim"
"""Key of the summary in the metadata of a Parquet file, beside those of other programs."""
_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary of some points of a sweep."""

    designs: int
    impossible: int
    front: list[dict[str, Any]]
    """Rows of the Pareto front, by energy."""
    regions: list[dict[str, Any]]
    """`Region.to_dict` of each reading of the claim."""


def sweep_large(grid: Grid, folder: Path, scheduler: str | None = None) -> tuple[Summary, int]:
    """Compute every point of ``grid`` into ``folder``; return summary and points computed now.

    ``scheduler`` is the address of a Dask scheduler; by default Dask starts a cluster on the cores
    of this machine. Workers send parts to this process, so they need not share its files.

    Raises `InputError` for more than 10,000 million combinations, a folder that holds anything but
    this very sweep, a missing package, a scheduler that does not answer or has no workers, workers
    of another version, and files that cannot be written.
    """
    total = len(grid)
    if total > MAX_LARGE:
        raise InputError(f"--axis: found {total:,} combinations, expected at most {MAX_LARGE:,}")
    require_extra("sweep", "pyarrow")
    _claim_folder(folder, grid)
    starts = range(0, total, PART_POINTS)
    parts = {start: folder / f"part-{i:05}.parquet" for i, start in enumerate(starts)}
    missing = [start for start, path in parts.items() if not path.exists()]
    if missing:
        calls = ((start, (grid, start, min(start + PART_POINTS, total))) for start in missing)
        with connected(scheduler) as client:
            found = computed(client, PACKAGES, compute_part, calls)
            for done, (start, content) in enumerate(found, 1):
                with replacing(parts[start]) as temporary:
                    temporary.write_bytes(content)
                _progress(len(parts) - len(missing) + done, len(parts))
    now = sum(min(PART_POINTS, total - start) for start in missing)
    return read_summaries(list(parts.values())), now


def _claim_folder(folder: Path, grid: Grid) -> None:
    """Claim a new folder for this sweep, or check that it holds this sweep."""
    sweep = {
        "schema": 1,
        **{name: asdict(getattr(grid.setup, name)) for name in ("layer", "hardware", "scales")},
        "axes": grid.axes,
        "accuracy": None if grid.accuracy is None else grid.accuracy.to_dict(),
        "claims": [asdict(claim) for claim in grid.claims],
        "part_points": PART_POINTS,
        "pim_sim": code_digest(*PACKAGES),
    }
    file = folder / "_sweep.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new = all(path.name.startswith(".") for path in folder.iterdir())
        found = None if new else json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{folder}: expected a new folder, or that of this sweep") from None
    if new:
        write_json(file, sweep)
        return
    expected, found = json.loads(json.dumps(sweep)), check_table(found, str(file))
    if other := [name for name in expected if found.get(name) != expected[name]]:
        raise InputError(f"{folder}: holds a sweep with another {other[0]}, expected a new folder")


def _progress(done: int, parts: int) -> None:
    if sys.stderr.isatty():
        print(f"\rpart {done:,} of {parts:,}", end="\n" if done == parts else "", file=sys.stderr)


def compute_part(grid: Grid, start: int, stop: int) -> bytes:
    """Compute the combinations from ``start`` up to ``stop`` as a Parquet file, on a worker."""
    arrow, parquet = require_extra("sweep", "pyarrow", "pyarrow.parquet")
    points = grid.points(start, stop)
    summary = Summary(
        designs=len(points),
        impossible=points.impossible,
        front=front_rows(points),
        regions=[found.to_dict() for found in regions(points, grid.claims)],
    )
    table = arrow.table({name: arrow.array(values) for name, values in points.columns.items()})
    table = table.replace_schema_metadata({_KEY: json.dumps(asdict(summary))})
    sink = arrow.BufferOutputStream()
    parquet.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_summary(path: Path) -> Summary:
    """Read the summary of a part; `InputError` for a damaged file."""
    arrow, parquet = require_extra("sweep", "pyarrow", "pyarrow.parquet")
    try:
        return Summary(**json.loads(parquet.read_metadata(path).metadata[_KEY]))
    except (OSError, arrow.ArrowException, KeyError, TypeError, ValueError):
        raise InputError(f"{path}: damaged; remove it and rerun the same command") from None


def read_summaries(paths: Sequence[Path]) -> Summary:
    """Read the summary of all parts, some at a time: their fronts may be long."""
    found: list[Summary] = []
    for start in range(0, len(paths), _AT_ONCE):
        found = [merged([*found, *map(read_summary, paths[start : start + _AT_ONCE])])]
    return found[0]


def merged(parts: Sequence[Summary]) -> Summary:
    """Merge summaries; of points with equal costs the first is kept."""
    rows = [row for part in parts for row in part.front]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]} if rows else {}
    kept = [rows[i] for i in undominated(costs(columns))] if rows else []
    return Summary(
        designs=sum(part.designs for part in parts),
        impossible=sum(part.impossible for part in parts),
        front=sorted(kept, key=lambda row: float(row["energy_pj"])),
        regions=[
            functools.reduce(_merged_region, found)
            for found in zip(*(part.regions for part in parts), strict=True)
        ],
    )


def _merged_region(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    if not (first["points"] and second["points"]):
        return first if first["points"] else second
    pairs = {name: (ends, second["bounds"][name]) for name, ends in first["bounds"].items()}
    bounds = {name: _widest([*some, *others]) for name, (some, others) in pairs.items()}
    return {**first, "points": first["points"] + second["points"], "bounds": bounds}


def _widest(found: list[Any]) -> list[Any]:
    """Return both ends of numbers, or every word."""
    return sorted(set(found)) if isinstance(found[0], str) else [min(found), max(found)]
