"""Content of a run's figures: one network's answers, the scene, energies of all networks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.inference import Cube, scene_logits
from snnquant.pipeline.comparing import chip_energy, predicted
from snnquant.pipeline.readouts import tile_form
from snnquant.pipeline.run import Run
from snnquant.report.paper_figures import FigureData, FileFormat, write_figure
from snnquant.stored_networks import Network


def draw_figures(
    run: Run,
    network: Network,
    figures: Collection[str],
    folder: Path,
    file_format: FileFormat = "pdf",
    *,
    dpi: int = 300,
    width_cm: float = 8.5,
) -> list[Path]:
    """Draw figures of a run, one file each.

    Args:
        run: A run.
        network: Network whose map, errors and confusion are drawn.
        figures: Keys of `snnquant.report.paper_figures.FIGURES`.
        folder: Folder of the files.
        file_format: Format of the files.
        dpi: Dots per inch of pictures.
        width_cm: Width in print, in cm.

    Returns:
        The files, map.pdf and so on.

    Raises:
        InputError: The run lacks the network or what a figure shows, the extra `figures` is not
            installed, or a file cannot be written.
    """
    data = figure_data(run, network)
    if "energy" in figures and not data.energies:
        expected = f"expected those that snnquant evaluate {run.path} writes"
        raise InputError(f"{run.path}: found no workload.json for the energy, {expected}")
    paths = []
    for number, name in enumerate(figures):
        run.progress("figures", number, len(figures), name)
        paths.append(folder / f"{name}.{file_format}")
        write_figure(name, data, paths[-1], file_format, dpi=dpi, width_cm=width_cm)
    run.progress("figures", len(figures), len(figures), "")
    return paths


def figure_data(run: Run, network: Network) -> FigureData:
    """Return the content of figures; raise InputError where the run lacks the network."""
    if not run.has(network):
        raise InputError(f"{run.path}: found no {network}, expected it beside --network {network}")
    if not len(run.split.test):
        raise InputError(f"{run.path}: found no test pixel in its split, expected at least 1")
    priced = {other.heading: chip_energy(run, other) for other in run.present()}
    return FigureData(
        scene=run.scene,
        training=np.union1d(run.split.train, run.split.val),
        test=run.split.test,
        classify_test=lambda: predicted(run, network)[0],
        classify_scene=lambda: _scene_classes(run, network),
        energies={name: energy for name, energy in priced.items() if energy is not None},
    )


def _scene_classes(run: Run, network: Network) -> NDArray[np.int64]:
    checkpoint, scene = run.load(network), run.scene
    by_tile, _ = tile_form(checkpoint)
    cube, window = Cube.of_scene(scene), checkpoint.model.window
    logits = scene_logits(by_tile, cube, checkpoint.normalisation, window, scene.classes)
    classes: NDArray[np.int64] = np.where(scene.valid, logits.argmax(axis=2) + 1, 0)
    return classes
