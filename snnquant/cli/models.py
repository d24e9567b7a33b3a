"""`snnquant models`: the available networks."""

from __future__ import annotations

import json as json_format

from snnquant.cli.options import Json

BANDS, CLASSES = 200, 16
"""Size of Indian Pines, for which parameters and MACs are stated."""


def models(*, json: Json = False) -> None:
    """List every network with its window, parameters, MACs, source, and whether it converts."""
    from snnquant.models import summarise_models

    summaries = summarise_models(BANDS, CLASSES)
    if json:
        rows = [summary.to_dict() for summary in summaries]
        print(json_format.dumps({"bands": BANDS, "classes": CLASSES, "models": rows}))
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table("model", box=SIMPLE, pad_edge=False)
    for heading in ("window", "input", "parameters", "MAC", "as SNN"):
        table.add_column(heading, justify="right")
    for row in summaries:
        values = f"{row.components} PCs" if row.components else "bands"
        sizes = (f"{row.window}x{row.window}", values, f"{row.parameters:,}", f"{row.mac:,}")
        table.add_row(row.name, *sizes, "no" if row.refused else "yes")
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"Parameters and multiply-accumulates per pixel for {BANDS} bands and {CLASSES} classes. "
        "PCs: principal components of the training spectra, computed before the network."
    )
    for row in summaries:
        remark = f" No SNN: {row.refused}." if row.refused else ""
        console.print(f"{row.name}: {row.paper}.{remark}")
