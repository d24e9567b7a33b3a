"""Raw pixels read block by block, from a scene or from a file larger than memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes import Scene
from snnquant.scenes.readers import content_files, read_array


@dataclass(frozen=True)
class Cube:
    """A cube [H, W, B] of real numbers that is read in blocks."""

    name: str
    """Its name in messages: a file or a scene."""
    shape: tuple[int, int, int]
    identity: str
    """A text that changes with the pixels: a digest, or the name, size and time of files."""
    open: Callable[[], NDArray[Any]]
    """Returns the whole cube: an array already in memory, or a new memory map of the file."""

    @classmethod
    def of_scene(cls, scene: Scene) -> Cube:
        """Return the cube of a loaded scene."""
        shape = (scene.height, scene.width, scene.bands)
        return cls(f"scene {scene.name}", shape, scene.digest, lambda: scene.cube)

    @classmethod
    def of_file(cls, path: Path) -> Cube:
        """Return the cube in a file; .npy and ENVI files are mapped, others are read as a whole.

        Raises `InputError` for a file that cannot be read or holds no cube.
        """
        array = read_array(path)
        if array.ndim != 3 or array.size == 0:
            raise InputError(
                f"{path}: found a cube of shape {array.shape}, expected rows x columns x bands"
            )
        rows, columns, bands = array.shape
        states = [(str(part.resolve()), part.stat()) for part in content_files(path)]
        identity = json.dumps([(name, state.st_size, state.st_mtime_ns) for name, state in states])
        if isinstance(array, np.memmap):
            # A new map for every block: the pages that were read leave memory with it.
            return cls(str(path), (rows, columns, bands), identity, lambda: read_array(path))
        return cls(str(path), (rows, columns, bands), identity, lambda: array)

    def block(self, rows: range, columns: range, margin: int) -> NDArray[np.float32]:
        """Return float32 [rows + 2 margin, columns + 2 margin, B], reflected at the edges.

        Raises `InputError`, naming the place, for a value that is not finite.
        """
        at = [
            _reflected(np.arange(part.start - margin, part.stop + margin), length)
            for part, length in zip((rows, columns), self.shape, strict=False)
        ]
        (top, bottom), (left, right) = ((int(i.min()), int(i.max()) + 1) for i in at)
        with np.errstate(over="ignore"):  # becomes infinite, which is reported with its place
            values = np.array(self.open()[top:bottom, left:right], dtype=np.float32)
        finite = np.isfinite(values)
        if not finite.all():
            row, column, band = np.argwhere(~finite)[0].tolist()
            raise InputError(
                f"{self.name}: found a NaN or infinite value at row {top + row}, "
                f"column {left + column}, band {band}, expected finite values"
            )
        return values[np.ix_(at[0] - top, at[1] - left)]


def _reflected(positions: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Mirror positions up to one length outside 0..length-1, without repeating the edge."""
    positions = np.abs(positions)
    return np.minimum(positions, 2 * (length - 1) - positions)
