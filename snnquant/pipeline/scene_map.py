"""What a run's trained networks do: map whole scenes, stop when a pixel is settled."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from snnquant.checkpoints import Checkpoint
from snnquant.errors import InputError
from snnquant.inference import (
    Classifier,
    Cube,
    classify_scene,
    logits_by_step,
    margins,
    tile_classifier,
    unfinished_map,
)
from snnquant.pipeline.run import CHECKPOINTS, Run
from snnquant.report import write_map
from snnquant.spiking import SpikingNetwork

if TYPE_CHECKING:
    from snnquant.inference.integer.integer_engine import IntegerNetwork

Engine = Literal["float", "integer"]
PATCHES_AT_ONCE = 64
"""Test patches given to the integer engine at a time."""


def draw_map(
    run: Run,
    name: str = "snn_trained",
    file: Path | None = None,
    *,
    engine: Engine = "float",
    early_exit: bool = False,
) -> Path:
    """Classify every pixel of the scene, or of the cube in a file; returns the map's PNG.

    The integer engine takes quantized SNNs alone; with `early_exit` it stops a pixel when its
    class is settled, by margins from the validation pixels. Goes on with an unfinished map of the
    same network, the same pixels and the same way. Raises InputError for a cube of other bands.
    """
    scene, checkpoint = run.scene, run.load(name)
    cube = Cube.of_scene(scene) if file is None else Cube.of_file(file)
    if cube.shape[2] != scene.bands:
        found = f"found {cube.shape[2]} bands"
        raise InputError(f"{cube.name}: {found}, expected the {scene.bands} of {scene.name}")
    if early_exit and engine != "integer":
        raise InputError("--early-exit: found the float engine, expected --engine integer")
    if engine == "integer":
        step_margins = (
            validation_margins(run, require_spiking(checkpoint, name)) if early_exit else None
        )
        classify: Classifier = integer_network(checkpoint, name, step_margins).classes
        how = "integers, early exit" if early_exit else "integers"
    else:
        classify, how = tile_classifier(
            checkpoint.network, _inputs(checkpoint), checkpoint.model.window
        )
    weights = (run.path / CHECKPOINTS[name]).read_bytes()
    key = hashlib.sha256(weights + f"{cube.identity} {how}".encode()).hexdigest()[:12]
    stem = run.path / ("map" if file is None else f"map_{file.stem}")

    def progress(done: int, total: int) -> None:
        run.progress("map", done, total, how)

    window, normalisation = checkpoint.model.window, checkpoint.normalisation
    with unfinished_map(stem, cube.shape[:2], scene.classes, key) as class_map:
        classify_scene(classify, cube, normalisation, window, class_map, progress)
        write_map(stem, class_map, scene, beside_truth=file is None)
    return stem.with_name(f"{stem.name}.png")


def _inputs(checkpoint: Checkpoint) -> int:
    """Values of a pixel that the network sees: bands or principal components."""
    components = checkpoint.normalisation.components
    return checkpoint.bands if components is None else components.shape[1]


def require_spiking(checkpoint: Checkpoint, name: str) -> SpikingNetwork:
    """Return the checkpoint's SNN; raise InputError, which says `name`, for a CNN."""
    if not isinstance(checkpoint.network, SpikingNetwork):
        raise InputError(f"--network: found {name}, expected a spiking network for this option")
    return checkpoint.network


def validation_margins(run: Run, network: SpikingNetwork) -> list[float]:
    """Return the early exit's margin per step, from the validation pixels."""
    validation = run.samples(run.split.val)
    return margins(logits_by_step(network, validation.patches, validation.indices))


def integer_network(
    checkpoint: Checkpoint, name: str, step_margins: Sequence[float] | None = None
) -> IntegerNetwork:
    """Return the SNN of a checkpoint in integers; raise InputError for a CNN or float weights."""
    from snnquant.inference.integer.integer_engine import IntegerNetwork

    network = copy.deepcopy(require_spiking(checkpoint, name)).cpu()  # it runs on processors alone
    if checkpoint.quantization is None:
        found = f"found {name}, whose weights are not quantized"
        raise InputError(f"--network: {found}, expected a quantized SNN for the integer engine")
    return IntegerNetwork(network, _inputs(checkpoint), checkpoint.model.window, step_margins)
