"""Classification maps of whole scenes by a run's trained networks."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from numpy.typing import DTypeLike, NDArray

from snnquant.checkpoints import Checkpoint, load_checkpoint
from snnquant.errors import InputError
from snnquant.inference import (
    Classifier,
    Cube,
    SpectralDistance,
    TileClasses,
    TileLogits,
    TileMaps,
    TileMethod,
    class_type,
    fill_map,
    logits_by_step,
    map_fields,
    margins,
    unfinished_map,
)
from snnquant.inference.tiles_on_dask import MadeMethod, fill_map_on_dask
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
    from snnquant.inference.integer.tile_form import TileForm

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
    scheduler: str | None = None,
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
        scheduler: Address of a Dask scheduler whose workers compute the tiles, in place of this
            machine.

    Returns:
        The PNG file, map.png or map_CUBE.png; the names of other files start alike.

    Raises:
        InputError: For a cube with other bands, a network that the engine cannot run, files that
            cannot be written, and a cluster that is missing or fails.

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
    step_margins = None
    if early_exit:
        step_margins = validation_margins(run, require_spiking(checkpoint, name))
    form = partial(_form_of_tiles, name=name, engine=engine, step_margins=step_margins)
    drawing = _Drawing(run, name, checkpoint, cube, stem, file is None, form, scheduler)
    if early_exit:
        drawing.of_classes()
    else:
        drawing.of_logits()
    return stem.with_name(f"{stem.name}.png")


class _Form(NamedTuple):
    """A network's form for tiles."""

    of_tile: Classifier | TileLogits
    """Classes of a tile where there are margins, else logits."""
    how: str
    """The method in words."""
    scaling: Normalisation | None
    """Scaling of the pixels before it; None where it takes raw ones."""


def _form_of_tiles(
    checkpoint: Checkpoint, name: str, engine: Engine, step_margins: Sequence[float] | None
) -> _Form:
    scaling = checkpoint.normalisation
    if step_margins is not None:
        network = integer_network(checkpoint, name, step_margins)
        raw = network.of_pixels(scaling)
        how = "integers, early exit"
        return _Form((raw or network).classes, how, scaling if raw is None else None)
    if engine == "integer":
        return _Form(integer_network(checkpoint, name).tile_logits, "integers", scaling)
    return _Form(*tile_form(checkpoint), scaling)


@dataclass(frozen=True)
class _Drawing:
    """A map that is drawn: the network, the pixels and the files."""

    run: Run
    name: str
    checkpoint: Checkpoint
    cube: Cube
    stem: Path
    of_run: bool
    form: Callable[[Checkpoint], _Form]
    scheduler: str | None

    def of_classes(self) -> None:
        """Draw only the map of the classes, of a method without logits."""
        form = self.form(self.checkpoint)
        remark(f"{self.stem.name}: only the classes, since {form.how} ends without probabilities")
        number, key = class_type(self.run.scene.classes), self._key(form.how)
        with self._unfinished(number, key) as class_map:
            self._fill(class_map, TileClasses, form, key)
            self._write("", class_map)

    def of_logits(self) -> None:
        """Draw classes, smoothed classes, confidence and distance."""
        form = self.form(self.checkpoint)
        readout = kept_readout(self.run, self.name)
        fields, key = map_fields(self.run.scene.classes), self._key(f"{form.how} {readout}")
        with self._unfinished(fields, key) as pixels:
            rest: dict[str, Any] = {
                "readout": readout,
                "edges": edges_of(self.run),
                "distance": self._distance(),
            }
            self._fill(pixels, partial(TileMaps, **rest), form, key)
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

    def _fill(
        self,
        pixels: NDArray[Any],
        method: Callable[..., TileMethod],
        form: _Form,
        key: str,
    ) -> None:
        """Fill a map by a method of tiles that takes form, normalisation and window."""
        done = self._progress(form.how)
        here = method(form.of_tile, form.scaling, self.checkpoint.model.window)
        if self.scheduler is None:
            fill_map(here, self.cube, pixels, done)
            return
        make = partial(_method_there, self._weights, self.form, method)
        there = MadeMethod(key, make)
        fill_map_on_dask(here, there, self.cube, pixels, done, self.scheduler)

    def _stem(self, end: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}{end}")

    def _progress(self, how: str) -> Callable[[int, int], None]:
        return lambda done, total: self.run.progress("map", done, total, how)

    @property
    def _weights(self) -> bytes:
        return self.run.file(self.name).read_bytes()

    def _key(self, method: str) -> str:
        text = self._weights + f"{self.cube.identity} {method}".encode()
        return hashlib.sha256(text).hexdigest()[:12]

    def _unfinished(self, fields: DTypeLike, key: str) -> AbstractContextManager[NDArray[Any]]:
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


def _method_there(
    weights: bytes,
    form: Callable[[Checkpoint], _Form],
    method: Callable[..., TileMethod],
) -> TileMethod:
    """Return the method of tiles on a worker, from the content of the checkpoint's file."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "network.safetensors"
        file.write_bytes(weights)
        checkpoint = load_checkpoint(file)
    made = form(checkpoint)
    return method(made.of_tile, made.scaling, checkpoint.model.window)


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
