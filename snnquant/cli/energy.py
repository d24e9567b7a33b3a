"""`snnquant energy`: operations and energy of a run, layer by layer."""

from __future__ import annotations

import json as json_format
from typing import Annotated, Any

from cyclopts import Parameter

from snnquant.cli.options import Moved, RunFolder, open_run, run_with_progress
from snnquant.config.options import OUTPUT

KINDS = ("mac", "ac", "mul", "add", "compare", "shift")
JsonRows = Annotated[
    bool,
    Parameter(
        negative="",
        help="Print one JSON list, an entry per layer, and nothing else on stdout.",
        group=OUTPUT,
    ),
]


def energy(folder: RunFolder, /, *, scene: Moved = None, json: JsonRows = False) -> None:
    """List operations and energy per classified pixel, by network, layer and cost table."""
    from snnquant.pipeline import evaluation

    rows = run_with_progress(
        lambda progress: open_run(folder, progress, scene=scene), evaluation.energy_by_layer
    )
    if json:
        print(json_format.dumps(rows))
    else:
        _print(rows)


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console

    from snnquant.report.table_parts import Section
    from snnquant.report.terminal import print_section

    console = Console()
    for network in dict.fromkeys(row["network"] for row in rows):
        layers = [row for row in rows if row["network"] == network]
        counted = [
            (
                row["layer"],
                *(str(row["bits"]), str(row["input_bits"]), f"{row['input_density']:.3f}"),
                *(_whole(_count(row, kind)) for kind in KINDS),
            )
            for row in layers
        ]
        columns = ("weight bits", "input bits", "input density", *map(_heading, KINDS))
        print_section(Section(f"{network}, operations per pixel", columns, tuple(counted)), console)
        for unit, prices in (("pJ", "energy_pj"), ("bit operations", "effort")):
            priced = [(row["layer"], *map(_whole, row[prices].values())) for row in layers]
            title = f"{network}, {unit} per pixel"
            print_section(Section(title, tuple(layers[0][prices]), tuple(priced)), console)


def _heading(kind: str) -> str:
    return kind.upper() if kind in ("mac", "ac") else kind


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _count(row: dict[str, Any], kind: str) -> float:
    counts = (entry["per_pixel"] for entry in row["operations"] if entry["kind"] == kind)
    return float(sum(counts))
