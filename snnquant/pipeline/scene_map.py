"""Classification maps of whole scenes by a run's trained networks."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import DTypeLike, NDArray

from snnquant.checkpoints import Checkpoint
from snnquant.errors import InputError
from snnquant.inference import (
    Cube,
    SpectralDistance,
    TileLogits,
    class_type,
    classify_scene,
    logits_by_step,
    map_fields,
    map_scene,
    margins,
    unfinished_map,
)
from snnquant.pipeline.other_cube import other_cube
from snnquant.pipeline.readouts import edges_of, inputs_of, kept_readout, tile_form
from snnquant.pipeline.run import Run
from snnquant.report import write_map, write_values
from snnquant.sampling import Normalisation
from snnquant.scenes.labels import ClassMap
from snnquant.scenes.pixels import count_remark, remark
from snnquant.spiking import SpikingNetwork
from snnquant.stored_networks import Network

if TYPE_CHECKING:
    from snnquant.inference.integer.integer_engine import TileForm

Engine = Literal["float", "integer"]
_PATTERN = re.compile(r"[*?\[\]{},]+")
"""Characters of a pattern that stands for one file per band, unfit for a file's name."""
PATCHES_AT_ONCE = 64
"""Patches that the integer engine receives at a time."""
DISTANT = 3.0
"""Distance from the training pixels that has the brightest colour in a map, and all beyond it."""


def draw_map(
    run: Run,
    name: str = Network.SNN_TRAINED,
    file: Path | None = None,
    *,
    engine: Engine = "float",
    early_exit: bool = False,
    resample: bool = False,
) -> Path:
    """Classify every pixel of the scene, or of the cube in a file, and write the maps.

    Beside the map are one of smoothed classes, one of the confidence in them, and one of the
    distance of the spectra from the training pixels; with early exit only the classes are known.

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
        The PNG file, map.png or map_CUBE.png; the names of other files start alike.

    Raises:
        InputError: For a cube with other bands, a network that the engine cannot run, and files
            that cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> from snnquant.config import ModelConfig, RunConfig, TrainingConfig
    >>> from snnquant.pipeline.stages import train_cnn
    >>> config = RunConfig(
    ...     scene="synthetic:24x24x16",
    ...     model=ModelConfig(widths=(2, 2)),
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
    stem = run.path / ("map" if file is None else f"map_{_PATTERN.sub('_', file.stem)}")
    drawing = _Drawing(run, name, checkpoint, cube, stem, file is None)
    if early_exit:
        step_margins = validation_margins(run, require_spiking(checkpoint, name))
        drawing.of_classes(integer_network(checkpoint, name, step_margins), "integers, early exit")
    elif engine == "integer":
        drawing.of_logits(integer_network(checkpoint, name).tile_logits, "integers")
    else:
        drawing.of_logits(*tile_form(checkpoint))
    return stem.with_name(f"{stem.name}.png")


@dataclass(frozen=True)
class _Drawing:
    """A map that is drawn: the network, the pixels and the files."""

    run: Run
    name: str
    checkpoint: Checkpoint
    cube: Cube
    stem: Path
    of_run: bool

    def of_classes(self, network: TileForm, how: str) -> None:
        """Draw only the map of the classes, of a method without logits."""
        cube, normalisation, window = self._pixels
        raw = network.of_pixels(normalisation)
        classify = (raw or network).classes
        scaling = normalisation if raw is None else None
        remark(f"{self.stem.name}: only the classes, since {how} ends without probabilities")
        number = class_type(self.run.scene.classes)
        with self._unfinished(number, how) as class_map:
            classify_scene(classify, cube, scaling, window, class_map, self._progress(how))
            self._write("", class_map)

    def of_logits(self, logits: TileLogits, how: str) -> None:
        """Draw classes, smoothed classes, confidence and distance."""
        readout = kept_readout(self.run, self.name)
        fields, method = map_fields(self.run.scene.classes), f"{how} {readout}"
        with self._unfinished(fields, method) as pixels:
            distance = self._distance()
            edges = edges_of(self.run)
            done = self._progress(how)
            map_scene(logits, *self._pixels, readout, edges, distance, pixels, done)
            self._write("", pixels["classes"])
            self._write("_smoothed", pixels["smoothed"])
            confidence, known = pixels["confidence"], pixels["classes"] > 0
            if readout.unknown_below is not None:
                certain = confidence >= readout.unknown_below
                self._write("_known", pixels["smoothed"] * certain)
            within = (0.0, 1.0)
            write_values(self._stem("_confidence"), confidence, known, "confidence", within)
            caption = "distance from the training pixels, 1: typical of them"
            within = (0.0, DISTANT)
            write_values(self._stem("_distance"), pixels["distance"], known, caption, within)

    @property
    def _pixels(self) -> tuple[Cube, Normalisation, int]:
        return self.cube, self.checkpoint.normalisation, self.checkpoint.model.window

    def _stem(self, end: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}{end}")

    def _progress(self, how: str) -> Callable[[int, int], None]:
        return lambda done, total: self.run.progress("map", done, total, how)

    def _unfinished(self, fields: DTypeLike, method: str) -> AbstractContextManager[NDArray[Any]]:
        weights = self.run.file(self.name).read_bytes()
        key = hashlib.sha256(weights + f"{self.cube.identity} {method}".encode()).hexdigest()[:12]
        return unfinished_map(self.stem, self.cube.shape[:2], fields, key)

    def _distance(self) -> SpectralDistance:
        scene, train = self.run.scene, self.run.split.train
        spectra = scene.cube.reshape(-1, scene.bands)[train]
        scaled = self.checkpoint.normalisation.apply(spectra)
        return SpectralDistance.of(scaled, scene.labels.reshape(-1)[train])

    def _write(self, end: str, class_map: ClassMap) -> None:
        if not end and not self.of_run:  # of the run's scene it was said when that was read
            count_remark(self.cube.name, class_map > 0)
        write_map(
            self._stem(end),
            class_map,
            self.run.scene,
            beside_truth=self.of_run,
            geo=self.cube.geo,
        )


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
) -> TileForm:
    """Return the SNN of a checkpoint in integers; raise InputError for a CNN or float weights."""
    from snnquant.inference.integer.dense_engine import integer_engine

    network = copy.deepcopy(require_spiking(checkpoint, name)).cpu()  # the only device it runs on
    if checkpoint.quantization is None:
        found = f"found {name}, whose weights are not quantized"
        raise InputError(f"--network: {found}, expected a quantized SNN for the integer engine")
    shape = inputs_of(checkpoint), checkpoint.model.window
    return integer_engine(network, *shape, step_margins, grid=checkpoint.grid)
