"""`snnquant figure`: figures of a run for papers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from snnquant.cli.options import Moved, RunFolder, open_run
from snnquant.cli.progress import show_progress
from snnquant.config.options import OUTPUT
from snnquant.errors import InputError
from snnquant.stored_networks import Network

NAMES = ("map", "errors", "confusion", "spectra", "energy")
DPI = (50, 2400)
WIDTHS_CM = (5.0, 60.0)


def figure(
    folder: RunFolder,
    /,
    *,
    what: Annotated[
        str, Parameter(help=f"Figures, separated by commas: {', '.join(NAMES)}.")
    ] = ",".join(NAMES),
    network: Annotated[
        Network,
        Parameter(
            name_transform=str.lower,
            help="Network of the run whose map, errors and confusion are drawn.",
        ),
    ] = Network.SNN_TRAINED,
    format: Annotated[
        Literal["pdf", "svg", "png"],
        Parameter(help="pdf and svg: vectors with their fonts; png: pictures.", group=OUTPUT),
    ] = "pdf",
    dpi: Annotated[int, Parameter(help="Dots per inch of pictures.", group=OUTPUT)] = 300,
    width: Annotated[
        str, Parameter(help="Width in print, in cm, mm, in or pt.", group=OUTPUT)
    ] = "8.5cm",
    output: Annotated[
        Path | None,
        Parameter(help="Folder of the files; by default figures in the run folder.", group=OUTPUT),
    ] = None,
    scene: Moved = None,
) -> None:
    """Draw figures for papers, one file each, with matplotlib (the extra `figures`).

    map: class of every pixel; errors: right and wrong test pixels; confusion: in percent of the
    true class; spectra: mean and standard deviation of each class; energy: of all networks of the
    run on its chip.
    """
    names = _names(what)
    if not DPI[0] <= dpi <= DPI[1]:
        raise InputError(f"--dpi: found {dpi}, expected {DPI[0]} to {DPI[1]}")
    from snnquant.io import require_extra

    require_extra("figures", "matplotlib")
    from snnquant.pipeline.figure_data import draw_figures
    from snnquant.report.paper_figures import width_in_cm

    width_cm, (low, high) = width_in_cm(width), WIDTHS_CM
    if width_cm is None or not low <= width_cm <= high:
        raise InputError(f"--width: found {width}, expected {low:g}cm to {high:g}cm, with the unit")
    with show_progress() as progress:
        run = open_run(folder, progress, scene=scene)
        place = output or folder / "figures"
        files = draw_figures(run, network, names, place, format, dpi=dpi, width_cm=width_cm)
    for file in files:
        print(file)


def _names(what: str) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in what.split(",")))
    for name in names:
        if name not in NAMES:
            raise InputError(f"--what: found {name!r}, expected some of {', '.join(NAMES)}")
    return names
