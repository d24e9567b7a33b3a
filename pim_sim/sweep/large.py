"""Sweeps that need not fit into memory: on Dask, to a folder of Parquet files, and resumable.

The folder is a Parquet data set: every file but `_sweep.json`, which says what is swept, is a part
of the points. A part is written whole or not at all, so a sweep that was stopped goes on with those
that are missing.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pim_sim.atomic import replacing, write_whole
from pim_sim.checks import check_table
from pim_sim.errors import InputError
from pim_sim.sweep.parts import Summary, code_digest, compute_part, extra, read_summaries
from pim_sim.sweep.points import Grid

PART_POINTS = 250_000
"""Combinations of a part: a second or less of work, some 10 MB."""
MOST_LARGE = 10_000_000_000
_FAILURES = (ImportError, OSError, RuntimeError, CancelledError)
"""What a cluster that has no pim_sim, or goes away, leads to."""
WAIT_S = 30
"""How long a scheduler may take to answer, and to have a worker."""


def sweep_large(grid: Grid, folder: Path, scheduler: str | None = None) -> tuple[Summary, int]:
    """Every point of ``grid`` into ``folder``; what they say, and how many were computed now.

    ``scheduler`` is the address of a Dask scheduler; by default Dask's own cluster on the cores of
    this machine. Workers send parts to this process, so they need not share its files.

    Raises `InputError` for more than 10,000 million combinations, a folder that holds anything but
    this very sweep, a missing package, a scheduler that does not answer or has no workers, workers
    of another version, and files that cannot be written.
    """
    total = len(grid)
    if total > MOST_LARGE:
        raise InputError(f"--axis: found {total:,} combinations, expected at most {MOST_LARGE:,}")
    extra("pyarrow")
    _claim(folder, grid)
    starts = range(0, total, PART_POINTS)
    parts = {start: folder / f"part-{i:05}.parquet" for i, start in enumerate(starts)}
    missing = [start for start, path in parts.items() if not path.exists()]
    if missing:
        with _client(scheduler) as client:
            for done, (start, content) in enumerate(_computed(client, grid, missing), 1):
                write_whole(parts[start], content)
                _progress(len(parts) - len(missing) + done, len(parts))
    computed = sum(min(PART_POINTS, total - start) for start in missing)
    return read_summaries(list(parts.values())), computed


def _claim(folder: Path, grid: Grid) -> None:
    """Make the folder this sweep's own, or make sure that it is."""
    sweep = {
        "schema": 1,
        **{name: asdict(getattr(grid.design, name)) for name in ("layer", "hardware", "scales")},
        "axes": grid.axes,
        "accuracy": None if grid.accuracy is None else grid.accuracy.to_dict(),
        "part_points": PART_POINTS,
        "pim_sim": code_digest(),
    }
    file = folder / "_sweep.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new = all(path.name.startswith(".") for path in folder.iterdir())
        found = None if new else json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{folder}: expected a new folder, or that of this sweep") from None
    if new:
        with replacing(file) as opened:
            opened.write(json.dumps(sweep, indent=1))
        return
    expected, found = json.loads(json.dumps(sweep)), check_table(found, str(file))
    if other := [name for name in expected if found.get(name) != expected[name]]:
        raise InputError(f"{folder}: holds a sweep with another {other[0]}, expected a new folder")


@contextmanager
def _client(scheduler: str | None) -> Iterator[Any]:
    distributed = extra("distributed")
    if scheduler is None:
        with (
            distributed.LocalCluster(
                threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=WAIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"--scheduler {scheduler}: {reason}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError:
            raise InputError(f"--scheduler {scheduler}: no worker within {WAIT_S} s") from None
        yield client


def _computed(client: Any, grid: Grid, starts: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Parts as they are done; few wait at a time, so that none fills the memory of a worker."""
    distributed = extra("distributed")
    begun: dict[Any, int] = {}

    def begin(start: int) -> Any:
        stop = min(start + PART_POINTS, len(grid))
        future = client.submit(compute_part, grid, start, stop, code_digest(), pure=False)
        begun[future] = start
        return future

    at_once = 2 * sum(client.nthreads().values())
    left = iter(starts)
    first = [begin(start) for start in itertools.islice(left, at_once)]
    waiting = distributed.as_completed(first, loop=client.loop)
    for future in waiting:
        try:
            content = future.result()
        except (*_FAILURES, distributed.KilledWorker) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"--scheduler: a worker failed ({reason}); the same command goes on"
            ) from None
        yield begun.pop(future), content
        if (start := next(left, None)) is not None:
            waiting.add(begin(start))


def _progress(done: int, parts: int) -> None:
    if sys.stderr.isatty():
        print(f"\rpart {done:,} of {parts:,}", end="\n" if done == parts else "", file=sys.stderr)
