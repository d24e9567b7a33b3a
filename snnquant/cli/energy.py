"""`snnquant energy`: operations and energy of a run, layer by layer."""

from __future__ import annotations

import json as json_format
from typing import Annotated, Any

from cyclopts import Parameter

from snnquant.cli.options import Moved, RunFolder, open_run, run_with_progress
from snnquant.config.options import OUTPUT

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
    from rich.table import Table

    console = Console()
    for quantity, caption in (
        ("energy_pj", "operations and pJ per classified pixel"),
        ("effort", "element-wise operations and effort in bit operations per classified pixel"),
    ):
        energy = quantity == "energy_pj"
        kinds = ("MAC", "AC") if energy else ("mul", "add", "compare", "shift")
        about = ("input density",) if energy else ("weight bits", "input bits")
        table = Table("network", "layer", *about, *kinds, *rows[0][quantity])
        table.caption = caption
        for row in rows:
            seen = [f"{row['input_density']:.3f}"]
            if not energy:
                seen = [str(row["bits"]), str(row["input_bits"])]
            numbers = [_number_of(row, kind.lower()) for kind in kinds]
            numbers += row[quantity].values()
            cells = (f"{number:,.0f}" for number in numbers)
            table.add_row(row["network"], row["layer"], *seen, *cells)
        console.print(table)


def _number_of(row: dict[str, Any], kind: str) -> float:
    counts = (entry["per_pixel"] for entry in row["operations"] if entry["kind"] == kind)
    return float(sum(counts))
