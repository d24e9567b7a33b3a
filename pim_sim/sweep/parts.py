"""Parts of a large sweep: each a Parquet file that carries its own summary.

A summary has what can be put together from those of the parts: counts, the Pareto front and the
regions. So a sweep of any size is summarised from the ends of its files.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pim_sim
from pim_sim.errors import InputError
from pim_sim.sweep.explore import costs, front_rows, region, undominated
from pim_sim.sweep.points import Grid

_KEY = b"pim_sim"
"""Where a Parquet file keeps its summary, beside what other programs put there."""
_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What some points of a sweep say."""

    designs: int
    impossible: int
    front: list[dict[str, Any]]
    """Rows of the Pareto front, least energy first."""
    regions: list[dict[str, Any]]
    """`Region.to_dict` of both readings."""


def extra(name: str) -> Any:
    """A module of the packages that large sweeps need; `InputError` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        needed = f"the package {name.partition('.')[0]}: pip install 'snnquant[sweep]'"
        raise InputError(f"--parquet: needs {needed}") from None


@functools.cache
def code_digest() -> str:
    """SHA-256 of all that decides a result here: two machines that agree on it agree on points."""
    folder, digest = Path(pim_sim.__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".csv", ".json"):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def compute_part(grid: Grid, start: int, stop: int, code: str) -> bytes:
    """The combinations from ``start`` up to ``stop`` as a Parquet file, on a worker.

    Raises `InputError` where the worker has another pim_sim than that of ``code``.
    """
    if code != code_digest():
        raise InputError("--scheduler: a worker has another version of pim_sim")
    arrow, parquet = extra("pyarrow"), extra("pyarrow.parquet")
    points = grid.points(start, stop)
    summary = Summary(
        designs=len(points),
        impossible=points.impossible,
        front=front_rows(points),
        regions=[found.to_dict() for found in region(points)],
    )
    table = arrow.table({name: arrow.array(values) for name, values in points.columns.items()})
    table = table.replace_schema_metadata({_KEY: json.dumps(asdict(summary))})
    sink = arrow.BufferOutputStream()
    parquet.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_summary(path: Path) -> Summary:
    """The summary of a part; `InputError` for a file that is none."""
    arrow, parquet = extra("pyarrow"), extra("pyarrow.parquet")
    try:
        return Summary(**json.loads(parquet.read_metadata(path).metadata[_KEY]))
    except (OSError, arrow.ArrowException, KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: damaged; remove it, and the same command computes it again"
        ) from None


def read_summaries(paths: Sequence[Path]) -> Summary:
    """The summary of the points of all parts, some at a time: their fronts may be long."""
    found: list[Summary] = []
    for start in range(0, len(paths), _AT_ONCE):
        found = [merged([*found, *map(read_summary, paths[start : start + _AT_ONCE])])]
    return found[0]


def merged(parts: Sequence[Summary]) -> Summary:
    """The summary of the points of all; of points with equal costs the first is kept."""
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
    """Both ends of numbers; every word."""
    return sorted(set(found)) if isinstance(found[0], str) else [min(found), max(found)]
