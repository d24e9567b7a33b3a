"""Durations of a run's training stages, and the machine and the versions that ran them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from snnquant.io import write_json
from snnquant.pipeline.installation import CORE, processor, version
from snnquant.pipeline.run import Run

RECORD_FILE = "record.json"
"""File of the record in a run folder."""


@contextmanager
def timing(run: Run, stage: str) -> Iterator[None]:
    """Add the duration of a block to those of a stage in the run's record.json.

    A stage that is resumed adds to what it took before; one that is finished is not run again, so
    that the file stays as it is. Raises InputError where the file cannot be
    written.
    """
    start = time.perf_counter()
    try:
        yield
    finally:
        if run.path.is_dir():
            _add(run, stage, time.perf_counter() - start)


def _add(run: Run, stage: str, seconds: float) -> None:
    file = run.path / RECORD_FILE
    try:
        known = {str(key): float(s) for key, s in json.loads(file.read_text())["seconds"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known = {}  # the first stage, or a damaged file, on which nothing depends
    known[stage] = round(known.get(stage, 0.0) + seconds, 2)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    described = processor()
    machine = f"{described['name']}, {cores} cores available, {described['system']}"
    if run.device.type != "cpu":
        machine += f", {run.device}"
    versions = {name: version(name) for name in ("snnquant", *CORE)}
    write_json(file, {"seconds": known, "machine": machine, "versions": versions})
