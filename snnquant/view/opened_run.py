"""A run that is looked at: false colours, spectra, and the classes of a rectangle."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snnquant.config import read_config
from snnquant.errors import InputError
from snnquant.inference import Cube, class_type, classify_scene, tile_classifier
from snnquant.pipeline.readouts import inputs_of
from snnquant.pipeline.run import Run
from snnquant.scenes import Scene

PIXELS = 128 * 128
"""Pixels of the largest rectangle that is classified."""
_SHOWN_PIXELS = 4_000_000
_VISIBLE_NM = (650.0, 550.0, 450.0)


@dataclass(frozen=True)
class OpenedRun:
    """A run whose cube is in memory.

    >>> from snnquant.config import RunConfig
    >>> opened = OpenedRun(Run.create(RunConfig(scene="synthetic:24x24x16")))
    >>> opened.default_bands, len(opened.spectrum(2, 3)["values"])
    ((2, 1, 0), 16)
    """

    run: Run

    @property
    def scene(self) -> Scene:
        """The scene of the run."""
        return self.run.scene

    @property
    def default_bands(self) -> tuple[int, int, int]:
        """Bands shown as red, green and blue, from 0: the card's, the visible ones, or spread."""
        scene = self.scene
        if scene.default_bands is not None and len(scene.default_bands) == 3:
            red, green, blue = scene.default_bands
            return red, green, blue
        if scene.wavelengths_nm is not None:
            distance = np.abs(scene.wavelengths_nm[:, None] - np.array(_VISIBLE_NM))
            red, green, blue = distance.argmin(0).tolist()
            return red, green, blue
        return 3 * scene.bands // 4, scene.bands // 2, scene.bands // 4

    def false_colour(self, bands: tuple[int, int, int]) -> bytes:
        """Return a PNG of three bands, each from its 2nd to its 98th percentile.

        Raises InputError for a band that the cube lacks.
        """
        scene = self.scene
        for band in bands:
            _within("band", band, scene.bands)
        step = math.ceil(math.sqrt(scene.height * scene.width / _SHOWN_PIXELS))
        shown = scene.cube[::step, ::step, list(bands)]
        valid = scene.valid[::step, ::step]
        known = shown[valid] if valid.any() else shown.reshape(-1, 3)
        low, high = np.percentile(known, (2, 98), axis=0)
        scaled = (shown - low) / np.maximum(high - low, 1e-12)
        picture = np.where(valid[..., None], scaled.clip(0, 1) * 255, 0).astype(np.uint8)
        buffer = BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        return buffer.getvalue()

    def spectrum(self, row: int, column: int) -> dict[str, Any]:
        """Return the values of a pixel, its label and the wavelengths in nanometres.

        Raises InputError for a pixel outside of the scene.
        """
        scene = self.scene
        _within("row", row, scene.height)
        _within("column", column, scene.width)
        label, nm = int(scene.labels[row, column]), scene.wavelengths_nm
        return {
            "values": scene.cube[row, column].tolist(),
            "wavelengths_nm": None if nm is None else nm.tolist(),
            "label": scene.class_names[label - 1] if label else None,
            "has_data": bool(scene.valid[row, column]),
        }

    def classes(self, network: str, rows: range, columns: range) -> NDArray[Any]:
        """Classify a rectangle as `snnquant map` classifies the scene, before smoothing.

        Args:
            network: Key of a network of the run.
            rows: Rows of the rectangle.
            columns: Columns of the rectangle.

        Returns:
            Class numbers from 1, [rows, columns]; 0 where a pixel has no data.

        Raises:
            InputError: For a rectangle that is empty, too large or not within the scene, and for a
                network that the run lacks.
        """
        scene = self.scene
        if not (0 <= rows.start < rows.stop <= scene.height):
            raise InputError(
                f"rows: found {rows.start} to {rows.stop}, expected 0 to {scene.height}"
            )
        if not (0 <= columns.start < columns.stop <= scene.width):
            found = f"{columns.start} to {columns.stop}"
            raise InputError(f"columns: found {found}, expected 0 to {scene.width}")
        if len(rows) * len(columns) > PIXELS:
            found = f"{len(rows)} x {len(columns)} pixels"
            raise InputError(f"rectangle: found {found}, expected at most {PIXELS} in all")
        checkpoint = self.run.load(network)
        window = checkpoint.model.window
        classify, _ = tile_classifier(checkpoint.network, inputs_of(checkpoint), window)
        cube, rows, columns = _cropped(scene, rows, columns, window)
        class_map = np.zeros(cube.shape[:2], class_type(scene.classes))
        classify_scene(classify, cube, checkpoint.normalisation, window, class_map)
        return class_map[rows.start : rows.stop, columns.start : columns.stop]


def _cropped(scene: Scene, rows: range, columns: range, window: int) -> tuple[Cube, range, range]:
    """Return the cube of a rectangle with what its windows see, and the rectangle in it.

    A rectangle at the edge of the scene is there at the edge of the cube too, where windows are
    reflected alike.
    """
    wide, inner = [], []
    for part, length in ((rows, scene.height), (columns, scene.width)):
        start, stop = max(part.start - window, 0), min(part.stop + window, length)
        wide.append(slice(start, stop))
        inner.append(range(part.start - start, part.stop - start))
    values, valid = scene.cube[wide[0], wide[1]], scene.valid[wide[0], wide[1]]
    shape = (values.shape[0], values.shape[1], scene.bands)
    whole = Cube.of_scene(scene)
    return replace(whole, shape=shape, open=lambda: values, valid=valid), inner[0], inner[1]


def _within(name: str, value: int, length: int) -> None:
    if not 0 <= value < length:
        raise InputError(f"{name}: found {value}, expected 0 to {length - 1}")


class OpenedRuns:
    """The run that was opened last; opened anew where its files have changed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Held by whoever works with a run: networks are not for two threads at a time."""
        self._last: tuple[object, OpenedRun] | None = None

    def open(self, path: Path) -> OpenedRun:
        """Return the run in a folder, without writing to it.

        Raises:
            InputError: If its configuration or its scene cannot be read.
        """
        files = [*path.glob("*.toml"), *path.glob("*.safetensors")]
        key = path, tuple(sorted((file.name, file.stat().st_mtime_ns) for file in files))
        if self._last is None or self._last[0] != key:
            self._last = None  # before another cube is read
            opened = OpenedRun(Run(path, read_config(path / "config.toml")))
            _ = opened.scene
            self._last = key, opened
        return self._last[1]
