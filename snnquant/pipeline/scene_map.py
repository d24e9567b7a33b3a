"""Classification maps of whole scenes by a run's trained networks."""

from __future__ import annotations

import copy
import hashlib
import re
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
from snnquant.pipeline.other_cube import other_cube
from snnquant.pipeline.run import Run
from snnquant.report import write_map
from snnquant.scenes.pixels import count_remark
from snnquant.spiking import SpikingNetwork
from snnquant.stored_networks import Network

if TYPE_CHECKING:
    from snnquant.inference.integer.integer_engine import IntegerNetwork

Engine = Literal["float", "integer"]
_PATTERN = re.compile(r"[*?\[\]{},]+")
"""Characters of a pattern that stands for one file per band, unfit for a file's name."""
PATCHES_AT_ONCE = 64
"""Patches that the integer engine receives at a time."""


def draw_map(
    run: Run,
    name: str = Network.SNN_TRAINED,
    file: Path | None = None,
    *,
    engine: Engine = "float",
    early_exit: bool = False,
    resample: bool = False,
) -> Path:
    """Classify every pixel of the scene, or of the cube in a file, and write the map.

    An interrupted map of the same network, pixels and engine is resumed.

    Args:
        run: A run with that network.
        name: A `Network`, or its key, such as "cnn_fp32".
        file: File of another cube [H, W, B] with the scene's bands, or a card that names one; None
            maps the run's scene.
        engine: "float", or "integer" for a quantized SNN as hardware would run it.
        early_exit: Stop each pixel once its class is settled, by margins from the validation
            pixels (integer engine only).
        resample: Resample another cube to the scene's wavelengths.

    Returns:
        The PNG file, map.png or map_CUBE.png; the other files have the same stem.

    Raises:
        InputError: For a cube with other bands, a network that the engine cannot run, and files
            that cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> from snnquant.config import ModelConfig, RunConfig, TrainingConfig
    >>> from snnquant.pipeline.stages import train_cnn
    >>> config = RunConfig(
    ...     scene="synthetic:24x24x16",
    ...     model=ModelConfig(widths=(2, 2, 2, 2)),
    ...     training=TrainingConfig(cnn_epochs=1),
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     run = Run.create(config, Path(folder) / "run")
    ...     train_cnn(run)
    ...     draw_map(run, "cnn_fp32").name
    'map.png'
    """
    scene, checkpoint = run.scene, run.load(name)
    if file is None:
        if resample:
            raise InputError("--resample: found no --cube, expected one beside it")
        cube = Cube.of_scene(scene)
    else:
        cube = other_cube(scene, run.split.train, file, resample=resample)
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
    weights = run.file(name).read_bytes()
    key = hashlib.sha256(weights + f"{cube.identity} {how}".encode()).hexdigest()[:12]
    stem = run.path / ("map" if file is None else f"map_{_PATTERN.sub('_', file.stem)}")

    def progress(done: int, total: int) -> None:
        run.progress("map", done, total, how)

    window, normalisation = checkpoint.model.window, checkpoint.normalisation
    with unfinished_map(stem, cube.shape[:2], scene.classes, key) as class_map:
        classify_scene(classify, cube, normalisation, window, class_map, progress)
        if file is not None:  # of the run's scene it was said when that was read
            count_remark(cube.name, class_map > 0)
        write_map(stem, class_map, scene, beside_truth=file is None, geo=cube.geo)
    return stem.with_name(f"{stem.name}.png")


def _inputs(checkpoint: Checkpoint) -> int:
    """Return how many values per pixel the network receives: bands or principal components."""
    components = checkpoint.normalisation.components
    return checkpoint.bands if components is None else components.shape[1]


def require_spiking(checkpoint: Checkpoint, name: str) -> SpikingNetwork:
    """Return the checkpoint's SNN; raise InputError naming it for a CNN."""
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

    network = copy.deepcopy(require_spiking(checkpoint, name)).cpu()  # the only device it runs on
    if checkpoint.quantization is None:
        found = f"found {name}, whose weights are not quantized"
        raise InputError(f"--network: {found}, expected a quantized SNN for the integer engine")
    return IntegerNetwork(network, _inputs(checkpoint), checkpoint.model.window, step_margins)
