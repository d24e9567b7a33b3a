"""Tables of a conversion for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from snnquant.report.terminal import WIDTH


def print_conversion(
    report: Mapping[str, Any], operations: Sequence[Mapping[str, Any]], console: Console
) -> None:
    """Print a conversion: its operations, its layers, and the score at other numbers of steps.

    Args:
        report: Content of conversion.json.
        operations: Operations of the network as its user wrote it, each as in conversion.json.
        console: Where to print; plain text of `WIDTH` columns if it is no terminal.
    """
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH, color_system=None)
    read = Table(box=SIMPLE, pad_edge=False)
    for heading in ("operation", "found", "became", "of the SNN"):
        read.add_column(heading, overflow="fold")
    for row in operations:
        action = f"{row['action']} ({row['remark']})" if row["remark"] else row["action"]
        read.add_row(*(Text(cell) for cell in (row["source"], row["found"], action, row["layer"])))
    layers = Table("layer", box=SIMPLE, pad_edge=False)
    for heading in ("threshold", "spikes per neuron per step", "error of the rates, %"):
        layers.add_column(heading, justify="right")
    columns = (report[key] for key in ("layers", "thresholds", "firing_rates", "errors"))
    for name, threshold, rate, error in zip(*columns, strict=True):
        layers.add_row(Text(name), f"{threshold:.4g}", f"{rate:.4f}", f"{100 * error:.1f}")
    console.print("Conversion")
    console.print(read)
    console.print(layers)
    if report["time_steps"]:
        steps = Table("T", *map(str, report["time_steps"]), "CNN", box=SIMPLE, pad_edge=False)
        scores = (*report["accuracies"], report["cnn_accuracy"])
        steps.add_row("validation OA, %", *(f"{100 * score:.2f}" for score in scores))
        console.print(steps)
