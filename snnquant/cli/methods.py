"""`snnquant methods`: the available quantization methods, studies and costs."""

from __future__ import annotations

import json as json_format

from snnquant.cli.options import Json


def methods(*, json: Json = False) -> None:
    """List every quantization method, study and cost: what each is, its source."""
    from snnquant.energy import load_costs
    from snnquant.quantization.listing import STUDIES, summarise_methods

    summaries = summarise_methods()
    costs = [{"name": c.name, "unit": c.unit, "summary": c.description} for c in load_costs()]
    if json:
        listed = {
            "methods": [summary.to_dict() for summary in summaries],
            "studies": [study.to_dict() for study in STUDIES],
            "costs": costs,
        }
        print(json_format.dumps(listed))
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("method", box=SIMPLE, pad_edge=False)
    for heading in ("hooks", "trains", "on a CNN", "on an SNN"):
        table.add_column(heading)
    for row in summaries:
        hooks = ", ".join(row.hooks)
        table.add_row(row.name, hooks, "yes" if row.trains else "no", row.cnn, row.snn)
    console.print(table)
    for row in summaries:
        console.print(f"{row.name}: {row.summary} {row.source}; {row.certainty}.")
    table = Table("study", "options", "subject", box=SIMPLE, pad_edge=False)
    for study in STUDIES:
        table.add_row(study.name, study.used or "-", study.summary)
    console.print(table)
    for study in STUDIES:
        words = f"{study.name}: {study.source}; {study.certainty}"
        console.print(f"{words}; in the source tree, {study.command}.")
    table = Table("cost", "unit", "summary", box=SIMPLE, pad_edge=False)
    for cost in costs:
        table.add_row(cost["name"], cost["unit"], cost["summary"])
    console.print(table)
