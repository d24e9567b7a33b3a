"""`snnquant energy`: where a run's energy goes, layer by layer."""

from __future__ import annotations

import json as json_format
from typing import Any

from snnquant.cli.options import Json, RunFolder, carry_out, reopen


def energy(folder: RunFolder, /, *, json: Json = False) -> None:
    """Operations and energy a classified pixel, by network, layer and accounting."""
    from snnquant.pipeline import evaluation

    rows = carry_out(lambda progress: reopen(folder, progress), evaluation.energy_by_layer)
    if json:
        print(json_format.dumps(rows))
    else:
        _print(rows)


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    accountings = list(rows[0]["energy_pj"])
    table = Table("network", "layer", "input density", "MAC", "AC", *accountings)
    table.caption = "operations and pJ a classified pixel"
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
