"""`snnquant map`: the map of a scene's classes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from snnquant.cli.options import Device, Moved, NetworkKey, RunFolder, open_run
from snnquant.cli.progress import show_progress
from snnquant.errors import InputError
from snnquant.stored_networks import Network


def map(
    folder: RunFolder,
    /,
    *,
    network: NetworkKey = Network.SNN_TRAINED,
    cube: Annotated[
        Path | None,
        Parameter(
            help="File of another cube with the same bands, or a card (.toml) that names one; by "
            "default the run's scene. npy and ENVI files may be larger than memory."
        ),
    ] = None,
    engine: Literal["float", "integer"] = "float",
    early_exit: Annotated[bool, Parameter(negative="")] = False,
    resample: Annotated[bool, Parameter(negative="")] = False,
    scheduler: str | None = None,
    scene: Moved = None,
    device: Device = "auto",
) -> None:
    """Classify every pixel: maps as PNG, npy and ENVI classification, in the run's folder.

    Beside the map: map_smoothed, map_confidence, and map_distance from the training pixels.

    Interrupted maps resume when the command is rerun.

    Parameters
    ----------
    network
        Network of the run.
    engine
        float, or integer: the SNN as hardware would run it, several times as fast.
    early_exit
        Stop a pixel's time steps when its class is settled (integer engine only).
    resample
        Resample the bands of another cube to the wavelengths of the run's scene.
    scheduler
        Address of a Dask scheduler whose workers compute the tiles, in place of this machine.
    """
    from snnquant.pipeline import report_data, scene_map

    if engine == "integer" and device == "cuda":
        found = "found cuda beside --engine integer"
        raise InputError(f"--device: {found}, expected cpu or auto: it runs only on the CPU")
    if scheduler is not None and device == "cuda":
        found = "found cuda beside --scheduler"
        raise InputError(f"--device: {found}, expected cpu or auto: workers use processors")
    with show_progress() as progress:
        run = open_run(folder, progress, device, scene)
        try:
            picture = scene_map.draw_map(
                run,
                network,
                cube,
                engine=engine,
                early_exit=early_exit,
                resample=resample,
                scheduler=scheduler,
            )
            if cube is None and (folder / report_data.METRICS_FILE).exists():
                report_data.write_report(run)
        except KeyboardInterrupt:
            print("snnquant: rerun the same command to resume", file=sys.stderr)
            raise
    print(picture)
