"""Tables of a run on a terminal, or as plain text elsewhere, and the commands to type next."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from snnquant.report.run_metrics import RunMetrics
from snnquant.report.sections import sections, summary
from snnquant.report.table_parts import Section

WIDTH = 100
"""Columns that the tables fit, and have where the output is no terminal."""


def print_table(metrics: RunMetrics, console: Console) -> None:
    """Print the tables of a run; networks and sections that the metrics lack are left out.

    Args:
        metrics: Content of metrics.json.
        console: Where to print; plain text of `WIDTH` columns if it is no terminal.

    >>> import sys
    >>> from snnquant.report.run_metrics import ModelMetrics, NetworkMetrics, SceneMetrics
    >>> from snnquant.report.run_metrics import SplitMetrics
    >>> from snnquant.stored_networks import Network
    >>> metrics = RunMetrics(
    ...     run="runs/mine",
    ...     seed=0,
    ...     networks={Network.CNN_FP32: NetworkMetrics(0.9, 0.8, 0.7, [0.8, 0.8], parameters=99)},
    ...     scene=SceneMetrics("field", (20, 30, 100), 250, ("Corn", "Oats")),
    ...     model=ModelMetrics("cnn32h", 5, 5, 6, ()),
    ...     split=SplitMetrics("blocks", 0, 90, 10, 150, leakage=0.0, coordinates_only_oa=0.6),
    ... )
    >>> print_table(metrics, Console(file=sys.stdout))  # doctest: +ELLIPSIS
    field (20x30x100, 2 classes, 250 labelled pixels), cnn32h on 5x5 patches, seed 0
    ...
    """
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH, color_system=None)
    console.print(Text(summary(metrics)))
    for section in sections(metrics):
        console.print()
        print_section(section, console)


def print_section(section: Section, console: Console) -> None:
    """Print one table with its title and notes, as `print_table` does."""
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH, color_system=None)
    console.print(Text(section.title, style="bold"))
    console.print(_table(section))
    for note in section.notes:
        console.print(Text(note, style="dim"))


def next_steps(folder: Path, program: Path) -> str:
    """Name the map and the report of a finished run and the next three commands to type.

    Args:
        folder: Run folder.
        program: The `snnquant` executable that runs; the commands bear its folder if the search
            path leads to another one or to none.

    >>> print(next_steps(Path("runs/mine"), Path("my_venv/bin/snnquant")))
    map:    runs/mine/map_and_truth.png
    report: runs/mine/report.html
    next:
      my_venv/bin/snnquant energy runs/mine
      my_venv/bin/snnquant evaluate runs/mine --early-exit
      my_venv/bin/snnquant export runs/mine --format onnx --output runs/mine/snn.onnx
    """
    start = _command(program)
    run = shlex.quote(str(folder))
    exported = shlex.quote(str(folder / "snn.onnx"))
    return "\n".join(
        (
            f"map:    {folder / 'map_and_truth.png'}",
            f"report: {folder / 'report.html'}",
            "next:",
            f"  {start} energy {run}",
            f"  {start} evaluate {run} --early-exit",
            f"  {start} export {run} --format onnx --output {exported}",
        )
    )


def _command(program: Path) -> str:
    """Return how to type `program`: its name, or its path if the name leads to another file."""
    if program.stem != "snnquant":  # started from Python, so that no path of it is known
        return "snnquant"
    found = shutil.which(program.name)
    if found is not None and Path(found).resolve() == program.resolve():
        return program.name
    near = os.path.relpath(program)
    return shlex.quote(str(program) if near.startswith(os.pardir) else near)


def _table(section: Section) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, show_header=any(section.columns))
    table.add_column("", no_wrap=True)
    for heading in section.columns:
        table.add_column(Text(heading), justify="right", overflow="fold")
    for label, *values in section.rows:
        table.add_row(Text(label), *(Text(value) for value in values))
    return table
