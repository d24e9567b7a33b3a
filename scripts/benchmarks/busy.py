"""Share of the processors that other programs take while something is timed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

OTHERS_SHARE = 0.1
"""Share of the processors' time that others take, past which a machine is busy."""
WHOLE_SHARE = 0.9
"""Share of its wall time that a thread computes on an idle machine, at least."""
PROBE = 1.0
"""Seconds of the probe before anything is timed."""
STAT = Path("/proc/stat")


@dataclass(frozen=True)
class Clock:
    """Seconds since some start."""

    wall: float
    own: float
    """Of the processors, by this process and its children that have ended."""
    busy: float | None
    """Of the processors this process may use, by all; None where the system does not tell."""

    @classmethod
    def read(cls) -> Clock:
        """Read them now."""
        busy = None
        if STAT.exists():
            busy = busy_seconds(STAT.read_text("ascii"), os.sched_getaffinity(0))
        return cls(time.perf_counter(), sum(os.times()[:4]), busy)


def busy_seconds(stat: str, processors: set[int]) -> float:
    """Sum the seconds that processors were not idle in the text of /proc/stat.

    Guests are part of user time; what another virtual machine took ("steal") counts.
    """
    ticks = 0
    for line in stat.splitlines():
        name, *numbers = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in processors:
            user, nice, system, _idle, _wait, *interrupts = map(int, numbers[:8])
            ticks += user + nice + system + sum(interrupts)
    return ticks / os.sysconf("SC_CLK_TCK")


def others_share(before: Clock, after: Clock, processors: int, load_average: float) -> float:
    """Return the share of the processors' time between two clocks that others took.

    The load average, of the last minute, stands in where the busy time is unknown.
    """
    seconds, own = after.wall - before.wall, after.own - before.own
    if before.busy is None or after.busy is None:
        taken = load_average - own / seconds
    else:
        taken = (after.busy - before.busy - own) / seconds
    return min(1.0, max(0.0, taken / processors))


@contextmanager
def watching(loads: dict[str, dict[str, Any]], name: str) -> Iterator[None]:
    """Note under a name what others take meanwhile."""
    before = Clock.read()
    yield
    processors = len(os.sched_getaffinity(0))
    share = others_share(before, Clock.read(), processors, os.getloadavg()[0])
    loads[name] = {"others_share": share, "busy": share > OTHERS_SHARE}


def probe(loads: dict[str, dict[str, Any]]) -> None:
    """Compute on all threads for a second; a thread that is held back is a busy machine, too."""
    threads = torch.get_num_threads()

    def spin(_: int) -> None:
        matrix = np.ones((128, 128))
        end = time.perf_counter() + PROBE
        while time.perf_counter() < end:
            np.sin(matrix)  # on the thread itself

    with watching(loads, "before"):
        wall, processor = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(spin, range(threads)))
        share = (time.process_time() - processor) / (time.perf_counter() - wall) / threads
    own = loads["before"]
    own["processor_over_wall"] = share
    own["busy"] |= share < WHOLE_SHARE


def busy_lines(loads: dict[str, dict[str, Any]]) -> list[str]:
    """Return a paragraph that says that the machine was busy, if it was."""
    if not any(load["busy"] for load in loads.values()):
        return []
    shares = ", ".join(f"{100 * load['others_share']:.0f} % {name}" for name, load in loads.items())
    held = loads["before"]["processor_over_wall"]
    return [
        f"**The machine was busy: other programs took {shares} of the processors, and a thread had "
        f"one for {100 * held:.0f} % of its time before. These figures do not hold.**",
        "",
    ]
