"""`snnquant compare`: networks of several runs beside each other."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from snnquant.cli.options import Json
from snnquant.cli.progress import show_progress
from snnquant.config.options import OUTPUT
from snnquant.stored_networks import Network

Columns = Literal["run", "oa", "aa", "kappa", "energy", "memory", "compute", "bytes"]


def compare(
    *runs: Annotated[Path, Parameter(help="Folders of runs.")],
    network: Annotated[
        tuple[Network, ...],
        Parameter(
            name_transform=str.lower,
            negative="",
            help="Network of each run to compare; repeated: several, also of one run.",
        ),
    ] = (Network.SNN_TRAINED,),
    sort: Annotated[
        Columns, Parameter(help="Column to sort by, the better first; bytes: of the weights.")
    ] = "oa",
    chip: Annotated[
        str | None,
        Parameter(help="Chip that prices all networks, a name or TOML file; default: each run's."),
    ] = None,
    maps: Annotated[
        Path | None,
        Parameter(help="Folder for the difference maps, one PNG file per pair.", group=OUTPUT),
    ] = None,
    html: Annotated[
        Path | None,
        Parameter(
            help="Page to write: tables that sort, Pareto plot, difference maps; one file.",
            group=OUTPUT,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare networks of runs: scores, energy, Pareto front, McNemar's paired test.

    The paired test uses the test pixels that two runs share; it is refused for different scenes.
    """
    from snnquant.cli.allocator import keep_freed_memory
    from snnquant.pipeline.comparing import compare_runs, write_difference_maps

    keep_freed_memory()
    networks = tuple(dict.fromkeys(network))
    with show_progress() as progress:
        found, pictures = compare_runs(runs, networks, sort=sort, chip=chip, progress=progress)
    if maps is not None:
        found = write_difference_maps(found, pictures, maps)
    if html is not None:
        from snnquant.report.compared_page import write_comparison

        write_comparison(found, pictures, html)
    if json:
        print(json_format.dumps(found.to_dict()))
        return
    from rich.console import Console

    from snnquant.report.compared_tables import comparison_sections
    from snnquant.report.terminal import print_section

    console = Console()
    for section in comparison_sections(found):
        print_section(section, console)
        console.print()
    for row in found.networks:
        print(f"{row.number}: {row.run}, {row.network}")
    if maps is not None:
        print(f"difference maps: {maps}")
    if html is not None:
        print(f"page: {html}")
