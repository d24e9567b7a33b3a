"""Pixels read block by block, from a scene or from a file larger than memory."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnquant.errors import InputError
from snnquant.scenes import Scene
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.nodata import fill_nearest
from snnquant.scenes.pixels import PixelRules
from snnquant.scenes.readers import content_files, read_array


@dataclass(frozen=True)
class Cube:
    """A cube [H, W, B] of real numbers that is read in blocks.

    A pixel without data has the values of the nearest pixel with data, so that windows that reach
    into it stay near those of training.
    """

    name: str
    """Its name in messages: a file or a scene."""
    shape: tuple[int, int, int]
    identity: str
    """A text that changes with the pixels: a digest, or the name, size and time of files."""
    open: Callable[[], NDArray[Any]]
    """Returns the whole cube: an array already in memory, or a new memory map of the file."""
    rules: PixelRules = field(default_factory=PixelRules)
    """No-data value, scale and bands of the source."""
    valid: NDArray[np.bool_] | None = None
    """[H, W] mask of a cube whose gaps are filled already; None where the values tell."""
    geo: Georeference | None = None
    """Place on Earth, where known."""
    visible: Callable[[], bool] | None = None
    """Tells whether a process, perhaps on another machine, sees the files of a cube that is mapped;
    None for pixels in memory."""

    @classmethod
    def of_scene(cls, scene: Scene) -> Cube:
        """Return the cube of a loaded scene."""
        shape = (scene.height, scene.width, scene.bands)
        shown = f"scene {scene.name}"
        return cls(shown, shape, scene.digest, lambda: scene.cube, valid=scene.valid, geo=scene.geo)

    @classmethod
    def of_array(cls, array: ArrayLike) -> Cube:
        """Return the cube of an array [H, W, B] of real numbers; raise `InputError` for others."""
        values = np.asarray(array)
        if values.dtype.kind not in "biuf" or values.ndim != 3 or values.size == 0:
            found = f"{values.dtype} of shape {values.shape}"
            raise InputError(f"cube: found {found}, expected real numbers [H, W, B]")
        rows, columns, bands = values.shape
        return cls("cube", (rows, columns, bands), "", lambda: values)

    @classmethod
    def of_file(cls, path: Path, opened: Callable[[], NDArray[Any]] | None = None) -> Cube:
        """Return the cube in a file; .npy and ENVI files are mapped, others are read as a whole.

        `opened` returns the array where it is not simply that of `read_array`. Raises `InputError`
        for a file that cannot be read or holds no cube.
        """
        array = read_array(path) if opened is None else opened()
        place = path.resolve()  # for workers of a cluster, which are in other folders
        opened = opened or (lambda: read_array(place))
        if array.ndim != 3 or array.size == 0:
            raise InputError(
                f"{path}: found a cube of shape {array.shape}, expected rows x columns x bands"
            )
        rows, columns, bands = array.shape
        identity = _state_of(place)
        if isinstance(array, np.memmap):
            # A new map for every block: the pages that were read leave memory with it.
            seen = functools.partial(_is_in_state, place, identity)
            return cls(str(path), (rows, columns, bands), identity, opened, visible=seen)
        return cls(str(path), (rows, columns, bands), identity, lambda: array)

    def read_as(self, rules: PixelRules) -> Cube:
        """Return the cube read by other rules, which may change its bands."""
        bands = self.shape[2] if rules.bands is None else len(rules.bands)
        if rules.resampling is not None:
            bands = len(rules.resampling)
        arrays = [None if a is None else a.tolist() for a in (rules.bands, rules.resampling)]
        identity = json.dumps([self.identity, rules.nodata, rules.scale, *arrays])
        shape = (*self.shape[:2], bands)
        return replace(self, shape=shape, identity=identity, rules=rules)

    def block(
        self, rows: range, columns: range, margin: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a block with its margins.

        Args:
            rows: Rows of the block.
            columns: Columns of the block.
            margin: Pixels around it, reflected at the edges of the cube.

        Returns:
            Float32 [rows + 2 margin, columns + 2 margin, B], which may be a view of the cube, and
            the mask [rows, columns] of the
            pixels with data.
        """
        at = [
            _reflected(np.arange(part.start - margin, part.stop + margin), length)
            for part, length in zip((rows, columns), self.shape, strict=False)
        ]
        (top, bottom), (left, right) = ((int(i.min()), int(i.max()) + 1) for i in at)
        values, valid = self._pixels(top, bottom, left, right)
        inner = valid[rows.start - top : rows.stop - top, columns.start - left :][:, : len(columns)]
        if self.valid is None and not valid.all() and inner.any():
            # The nearest pixel with data is no farther from a gap than the window's centre is.
            reach = math.ceil(margin * math.sqrt(2))
            above, before = min(reach, top), min(reach, left)
            values, valid = self._pixels(top - above, bottom + reach, left - before, right + reach)
            fill_nearest(values, valid)
            values = values[above:, before:][: bottom - top, : right - left]
        inside = len(at[0]) == bottom - top and len(at[1]) == right - left
        return values if inside else values[np.ix_(at[0] - top, at[1] - left)], inner

    def _pixels(
        self, top: int, bottom: int, left: int, right: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        values = self.open()[top:bottom, left:right]
        if self.valid is None:
            return self.rules.pixels(values)
        return np.asarray(values, np.float32), self.valid[top:bottom, left:right]


def _state_of(path: Path) -> str:
    """Return names, sizes and times of the files of a cube."""
    states = [(str(part.resolve()), part.stat()) for part in content_files(path)]
    return json.dumps([(name, state.st_size, state.st_mtime_ns) for name, state in states])


def _is_in_state(path: Path, state: str) -> bool:
    try:
        return _state_of(path) == state
    except (OSError, InputError):
        return False


def _reflected(positions: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Mirror positions up to one length outside 0..length-1, without repeating the edge."""
    positions = np.abs(positions)
    return np.minimum(positions, 2 * (length - 1) - positions)
