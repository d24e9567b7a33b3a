"""`snnquant methods`: the available quantization methods."""

from __future__ import annotations

import json as json_format

from snnquant.cli.options import Json


def methods(*, json: Json = False) -> None:
    """List every quantization method: its hooks, what it quantizes, its source."""
    from snnquant.quantization.listing import summarise_methods

    summaries = summarise_methods()
    if json:
        print(json_format.dumps({"methods": [summary.to_dict() for summary in summaries]}))
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table("method", box=SIMPLE, pad_edge=False)
    for heading in ("hooks", "trains", "on a CNN", "on an SNN"):
        table.add_column(heading)
    for row in summaries:
        hooks = ", ".join(row.hooks)
        table.add_row(row.name, hooks, "yes" if row.trains else "no", row.cnn, row.snn)
    console = Console(highlight=False)
    console.print(table)
    for row in summaries:
        console.print(f"{row.name}: {row.summary} {row.source}; {row.certainty}.")
