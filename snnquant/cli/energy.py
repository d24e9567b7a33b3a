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

    cost_tables = list(rows[0]["energy_pj"])
    table = Table("network", "layer", "input density", "MAC", "AC", *cost_tables)
    table.caption = "operations and pJ per classified pixel"
    for row in rows:
        table.add_row(
            row["network"],
            row["layer"],
            f"{row['input_density']:.3f}",
            f"{row['mac']:,.0f}",
            f"{row['ac']:,.0f}",
            *(f"{pj:,.0f}" for pj in row["energy_pj"].values()),
        )
    Console().print(table)
