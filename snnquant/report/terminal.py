"""The tables of a run on a terminal, or as plain text where there is none."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from snnquant.report.sections import Metrics, Section, sections, summary

WIDTH = 100
"""Columns that the tables fit, and have where the output is no terminal."""


def print_table(metrics: Metrics, console: Console) -> None:
    """Print what a run measured (the content of metrics.json) beside the published figures.

    Networks and sections that the metrics lack are left out.
    """
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH, color_system=None)
    console.print(Text(summary(metrics)))
    for section in sections(metrics):
        console.print()
        console.print(Text(section.title, style="bold"))
        console.print(_table(section))
        for note in section.notes:
            console.print(Text(note, style="dim"))


def _table(section: Section) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, show_header=any(section.columns))
    table.add_column("", no_wrap=True)
    for heading in section.columns:
        table.add_column(Text(heading), justify="right", overflow="fold")
    for label, *values in section.rows:
        table.add_row(Text(label), *(Text(value) for value in values))
    return table
