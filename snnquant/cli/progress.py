"""Progress of a run on stderr: bars on a terminal, lines elsewhere, both with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from snnquant.pipeline.run import Progress

SECONDS, SHARE = 30.0, 0.1
"""Longest silence between two lines of a stage that advances, in time and in work."""


@dataclass
class _Stage:
    """Progress of one stage: its last line, and the first finished part, as (time, done)."""

    printed: tuple[float, int]
    first: tuple[float, int] | None = None

    def is_due(self, now: float, done: int, total: int) -> bool:
        """Return whether the last line is too old."""
        seconds, work = now - self.printed[0], done - self.printed[1]
        return done == total or seconds >= SECONDS or work >= SHARE * total

    def seconds_left(self, now: float, done: int, total: int) -> float | None:
        """Estimate the time left from all parts finished after the first; None while unknown.

        The first part would include loading and compiling, or all parts that a resumed stage
        does not repeat.
        """
        if self.first is None or not self.first[1] < done < total:
            return None
        return (now - self.first[0]) / (done - self.first[1]) * (total - done)


class ProgressLines:
    """Progress as lines: at a stage's start and end, and every 30 s or 10 % in between.

    Args:
        write: Receives each line.
        clock: Returns the time in seconds.

    >>> progress = ProgressLines(print, clock=iter([0.0, 10.0, 20.0]).__next__)
    >>> for epoch in range(3):
    ...     progress("cnn", epoch, 4, "")
    cnn: 0/4
    cnn: 1/4
    cnn: 2/4, 0:00:20 left
    """

    def __init__(
        self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._stages: dict[str, _Stage] = {}

    def __call__(self, stage: str, done: int, total: int, remark: str) -> None:
        """Take note of a stage's progress; see `snnquant.pipeline.run.Progress`."""
        now = self._clock()
        starts = done == 0 or stage not in self._stages
        if starts:
            self._stages[stage] = _Stage((now, done))
        state = self._stages[stage]
        if done and state.first is None:
            state.first = (now, done)
        if starts or state.is_due(now, done, total):
            state.printed = (now, done)
            self._write(_line(stage, done, total, state.seconds_left(now, done, total), remark))


def _line(stage: str, done: int, total: int, left: float | None, remark: str) -> str:
    time_left = "" if left is None else f", {_clock_time(left)} left"
    return f"{stage}: {done}/{total}{time_left} {remark}".rstrip()


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Yield a progress callback: bars where stderr is a terminal, lines elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bars(console) as progress:
            yield progress
    else:
        yield ProgressLines(lambda line: print(line, file=sys.stderr, flush=True))


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<13}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int, remark: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, remark="")
            bars.update(tasks[stage], completed=done, total=total, remark=remark)

        yield update
