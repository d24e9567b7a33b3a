"""Run folders below a folder, their scores, and the files of them that are shown."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snnquant.errors import InputError
from snnquant.report import RunMetrics

DEPTH = 3
"""Levels of folders that are searched for runs."""
_SHOWN = re.compile(r"report\.html|map(_[\w.-]+)?\.png", re.ASCII)


@dataclass(frozen=True)
class RunRow:
    """A run in the list."""

    name: str
    """Path of the run below the folder of runs, or its folder's name where it is that folder."""
    metrics: RunMetrics | None
    """Content of metrics.json; None where it is missing or damaged."""
    files: tuple[str, ...]
    """Names of the files that can be shown."""

    @property
    def oa(self) -> float | None:
        """Overall accuracy of the last network, 0 to 1."""
        found = list(self.metrics.networks.values()) if self.metrics else []
        return found[-1].oa if found else None

    @property
    def network(self) -> str:
        """Key of the last network; empty where no network is scored."""
        return str(list(self.metrics.networks)[-1]) if self.oa is not None and self.metrics else ""

    @property
    def energy_nj(self) -> float | None:
        """Compute energy of that network in nJ per pixel, by the first cost table."""
        tables = list(self.metrics.energy_pj.values()) if self.metrics else []
        found = tables[0].get(self.network) if tables else None
        return None if found is None else found / 1000


def find_runs(folder: Path) -> dict[str, Path]:
    """Return the run folders in a folder by their paths below it, or the folder if it is a run.

    A run with a link that leads out of the folder is left out.
    """
    root = folder.resolve()
    return {name: run for name, run in _runs(root) if _contained(run, root)}


def find_run(folder: Path, name: str) -> Path | None:
    """Return one of `find_runs` by its name; None for any other name."""
    root = folder.resolve()
    run = dict(_runs(root)).get(name)
    return run if run is not None and _contained(run, root) else None


def row_of(name: str, run: Path) -> RunRow:
    """Read what the list shows of a run."""
    try:
        values = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        metrics = RunMetrics.from_dict(values)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError, InputError):
        metrics = None
    names = (path.name for path in run.iterdir() if _SHOWN.fullmatch(path.name))
    files = sorted(names, key=lambda name: (name != "report.html", name))
    return RunRow(name, metrics, tuple(files))


def read_shown(run: Path, name: str) -> bytes | None:
    """Return the content of a run's report or map; None for another name and for a link."""
    if not _SHOWN.fullmatch(name):
        return None
    try:
        # Without following a link, which may have been made since the run was listed.
        descriptor = os.open(run / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _runs(root: Path) -> Iterator[tuple[str, Path]]:
    if (root / "config.toml").is_file():
        yield root.name, root
        return
    for run in _below(root, DEPTH):
        name = run.relative_to(root).as_posix()
        if name.isprintable():  # others, such as bytes that are no text, have no address
            yield name, run


def _below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        parts = sorted(path for path in folder.iterdir() if not path.is_symlink())
    except OSError:
        return
    for path in parts:
        if (path / "config.toml").is_file():
            yield path
        elif depth > 1 and path.is_dir():
            yield from _below(path, depth - 1)


def _contained(run: Path, root: Path) -> bool:
    """Tell whether no link of the run leads out of the folder of runs."""
    for folder, folders, files in os.walk(run):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if path.is_symlink():
                try:
                    inside = path.resolve().is_relative_to(root)
                except (OSError, RuntimeError):  # a loop of links
                    return False
                if not inside:
                    return False
    return True
