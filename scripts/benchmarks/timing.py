"""Timing in turn, ratios with their quartiles, and the files of docs/results."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from snnquant.io import replacing

BUSY_LOAD = 0.5
"""Running processes per core, other than this one, past which a machine is busy."""
WHOLE_SHARE = 0.9
"""Share of its wall time that a thread computes on an idle machine, at least."""
RESULTS = Path(__file__).parents[2] / "docs" / "results"
Times = dict[str, list[tuple[float, float]]]


def interleave(works: dict[str, Callable[[], object]], rounds: int) -> Times:
    """Measure wall and processor seconds of each, in turn; the first round warms up."""
    times: Times = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            if turn:
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return times


def ratio(times: Times, ours: str, reference: str) -> dict[str, float]:
    """Return the speed-up over the reference: median and quartiles of the rounds."""
    walls, processors = (
        [theirs[i] / own[i] for own, theirs in zip(times[ours], times[reference], strict=True)]
        for i in range(2)
    )
    low, median, high = statistics.quantiles(walls, n=4)
    return {
        "median": median,
        "low": low,
        "high": high,
        "processor_median": statistics.median(processors),
    }


def fastest(times: Times, peers: dict[str, nn.Module]) -> str:
    """Return the peer with the shortest median."""
    return min(peers, key=lambda name: statistics.median(wall for wall, _ in times[name]))


def per_second(times: Times, count: int) -> dict[str, float]:
    """Return patches, or pixels, per second at the median, for `count` of them per round."""
    return {
        name: count / statistics.median(wall for wall, _ in rows) for name, rows in times.items()
    }


def machine_load(own: float) -> dict[str, Any]:
    """Say whether other programs run: by the load average, and by processor over wall time.

    `own` is the load of this process itself.
    """
    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    load = os.getloadavg()[0]

    def spin(_: int) -> None:
        matrix = np.ones((128, 128))
        end = time.perf_counter() + 0.5
        while time.perf_counter() < end:
            np.sin(matrix)  # on the thread itself

    wall, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(spin, range(threads)))
    share = (time.process_time() - processor) / (time.perf_counter() - wall) / threads
    busy = load > own + BUSY_LOAD * cores or share < WHOLE_SHARE
    return {"load_average": load, "processor_over_wall": share, "busy": busy}


def publish(result: dict[str, Any], text: str, stem: str, options: argparse.Namespace) -> None:
    """Write a result and its page to docs/results, unless quick, and print one of them."""
    if not options.quick:
        for end, content in (("md", text), ("json", json.dumps(result, indent=2) + "\n")):
            with replacing(RESULTS / f"{stem}.{end}") as temporary:
                temporary.write_text(content, encoding="utf-8")
    print(json.dumps(result) if options.json else text)
