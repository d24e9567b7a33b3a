"""Timing in turn, ratios with their quartiles, and the files of docs/results."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from snnquant.io import replacing

TURN = 0.05
"""Seconds that the turn of a contender lasts, at least.

Threads of the operations of the turn before still spin for some of them.
"""
RESULTS = Path(__file__).parents[2] / "docs" / "results"
Times = dict[str, list[tuple[float, float]]]


def interleave(works: dict[str, Callable[[], object]], rounds: int) -> Times:
    """Measure wall and processor seconds per call of each, in turn; the first round warms up."""
    times: Times = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            calls, start, processor = 0, time.perf_counter(), time.process_time()
            wall = 0.0
            while wall < TURN:
                work()
                calls, wall = calls + 1, time.perf_counter() - start
            if turn:
                times[name].append((wall / calls, (time.process_time() - processor) / calls))
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


def as_cell(found: dict[str, float]) -> str:
    """Return a ratio as a page shows it."""
    return (
        f"{found['median']:.2f} ({found['low']:.2f} to {found['high']:.2f}; "
        f"processor {found['processor_median']:.2f})"
    )


def fastest(times: Times, peers: dict[str, nn.Module]) -> str:
    """Return the peer with the shortest median."""
    return min(peers, key=lambda name: statistics.median(wall for wall, _ in times[name]))


def per_second(times: Times, count: int) -> dict[str, float]:
    """Return patches, or pixels, per second at the median, for `count` of them per round."""
    return {
        name: count / statistics.median(wall for wall, _ in rows) for name, rows in times.items()
    }


def per_processor_second(times: Times, count: int) -> dict[str, float]:
    """Return patches, or pixels, per second of the processor at the median."""
    return {name: count / statistics.median(p for _, p in rows) for name, rows in times.items()}


def publish(result: dict[str, Any], text: str, stem: str, options: argparse.Namespace) -> None:
    """Write a result and its page to docs/results, unless quick, and print one of them."""
    if not options.quick:
        for end, content in (("md", text), ("json", json.dumps(result, indent=2) + "\n")):
            with replacing(RESULTS / f"{stem}.{end}") as temporary:
                temporary.write_text(content, encoding="utf-8")
    print(json.dumps(result) if options.json else text)
