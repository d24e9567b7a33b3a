"""The class of every pixel of a scene, labelled or not, tile by tile."""

from __future__ import annotations

import glob
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from snnquant.inference.cube import Cube
from snnquant.inference.dense import Classifier, TileLogits
from snnquant.io import replacing
from snnquant.sampling import Normalisation
from snnquant.sampling.patches import check_window
from snnquant.scenes.labels import ClassMap

TILE = 64
"""Side of a tile in pixels. A thread holds the memory of one tile, however large the scene.

Larger tiles are no faster; smaller ones compute more of the margins twice.
"""


def _silent(done: int, total: int) -> None:
    """Report no progress."""


def classify_scene(
    classify: Classifier,
    cube: Cube,
    normalisation: Normalisation | None,
    window: int,
    class_map: ClassMap,
    progress: Callable[[int, int], None] = _silent,
) -> None:
    """Classify all pixels of a cube, tile by tile, as many at a time as torch has threads.

    Pixels without data stay 0. Tiles without another 0 in the map are done already and left as
    they are, so that a file-backed map can be resumed.

    Args:
        classify: Class numbers from 0, [h, w], of a normalised tile with its margin.
        cube: Raw pixels [H, W, B].
        normalisation: Statistics of the training pixels; None where `classify` takes raw pixels.
        window: Side of the patches, in pixels.
        class_map: Array [H, W] that is filled with class numbers from 1.
        progress: Receives the number of pixels done and in total.

    Raises:
        InputError: For a window larger than the scene.

    Example:
        >>> from snnquant.inference import Cube
        >>> pixels = np.zeros((4, 6, 3), np.float32)
        >>> cube = Cube("field", pixels.shape, "", lambda: pixels)
        >>> as_they_are = Normalisation(np.zeros(3, np.float32), np.ones(3, np.float32))
        >>> class_map = np.zeros((4, 6), np.uint8)
        >>> first_band = lambda tile: tile[0, 0, 0].long()
        >>> classify_scene(first_band, cube, as_they_are, 1, class_map)
        >>> class_map.min(), class_map.max()
        (np.uint8(1), np.uint8(1))
    """
    fill_map(TileClasses(classify, normalisation, window), cube, class_map, progress)


class TileMethod(Protocol):
    """Map of one tile."""

    @property
    def window(self) -> int:
        """Side of the patches, in pixels."""

    @property
    def margin(self) -> int:
        """Pixels around a tile whose results it needs."""

    def __call__(self, tile: Tile) -> NDArray[Any]:
        """Return the pixels [h, w] of the map."""


@dataclass(frozen=True, eq=False)
class Tile:
    """Raw pixels of a tile and of its margin, as they are read."""

    values: NDArray[np.float32]
    """[h + 2 m + window - 1, w + 2 m + window - 1, B] with a margin m, less at the scene's edge."""
    wide_valid: NDArray[np.bool_]
    """[h + 2 m, w + 2 m] mask of the pixels with data."""
    inner: tuple[slice, slice]
    """Rows and columns of the tile within its margin."""

    @classmethod
    def read(
        cls,
        cube: Cube,
        method: TileMethod,
        rows: range,
        columns: range,
        known: NDArray[np.integer],
    ) -> Tile | None:
        """Read a tile; None where its pixels with data have classes already, `known` [h, w]."""
        if known.all():
            return None
        height, width, _ = cube.shape
        wide = (
            _widened(rows, method.margin, height),
            _widened(columns, method.margin, width),
        )
        values, valid = cube.block(*wide, method.window // 2)
        tile = cls(values, valid, (_within(rows, wide[0]), _within(columns, wide[1])))
        return None if known[tile.valid].all() else tile

    @property
    def valid(self) -> NDArray[np.bool_]:
        """[h, w] mask of the pixels with data, without the margin."""
        return self.wide_valid[self.inner]


@dataclass(frozen=True, eq=False)
class TileClasses:
    """Class numbers from 1 of a tile's pixels, 0 where they have no data."""

    classify: Classifier
    normalisation: Normalisation | None
    """None for a classifier that takes raw pixels."""
    window: int
    margin: int = 0

    def __call__(self, tile: Tile) -> NDArray[Any]:
        """Return the classes [h, w]."""
        scaled = (
            tile.values if self.normalisation is None else self.normalisation.apply(tile.values)
        )
        pixels = torch.from_numpy(scaled).permute(2, 0, 1)[None, None]
        return np.where(tile.valid, self.classify(pixels).cpu().numpy() + 1, 0)


def fill_map(
    method: TileMethod,
    cube: Cube,
    pixels: NDArray[Any],
    progress: Callable[[int, int], None] = _silent,
) -> None:
    """Fill a map [H, W] tile by tile, as many at a time as torch has threads.

    Args:
        method: The map of one tile.
        cube: Raw pixels [H, W, B].
        pixels: Zeros, class numbers from 1 or pixels with a field "classes" of such; tiles whose
            pixels with data have classes are done already and left as they are.
        progress: Receives the number of pixels done and in total.

    Raises:
        InputError: For a window larger than the scene.
    """
    height, width, _ = cube.shape
    check_window(method.window, height, width)

    @torch.inference_mode()
    def fill(rows: range, columns: range) -> int:
        tile = Tile.read(cube, method, rows, columns, known_classes(pixels, rows, columns))
        if tile is not None:
            keep_tile(pixels, rows, columns, method(tile))
        return len(rows) * len(columns)

    work_on_tiles(fill, height, width, progress)


def known_classes(pixels: NDArray[Any], rows: range, columns: range) -> NDArray[np.integer]:
    """Return the class numbers of a tile in a map that `fill_map` fills, 0 where unknown."""
    part = pixels[rows.start : rows.stop, columns.start : columns.stop]
    return part if part.dtype.names is None else part["classes"]


def keep_tile(pixels: NDArray[Any], rows: range, columns: range, found: NDArray[Any]) -> None:
    """Put the pixels of a tile into the map."""
    part = pixels[rows.start : rows.stop, columns.start : columns.stop]
    for name in found.dtype.names or ():
        if name != "classes":
            part[name] = found[name]
    # Last, because they tell that the tile is done.
    known_classes(pixels, rows, columns)[:] = (
        found if found.dtype.names is None else found["classes"]
    )


def _widened(part: range, margin: int, length: int) -> range:
    return range(max(part.start - margin, 0), min(part.stop + margin, length))


def _within(part: range, wide: range) -> slice:
    return slice(part.start - wide.start, part.stop - wide.start)


def scene_probabilities(
    logits: TileLogits, cube: Cube, normalisation: Normalisation, window: int, classes: int
) -> NDArray[np.float32]:
    """Return the softmax [H, W, K] of the logits of all pixels of a cube, tile by tile.

    Args and Raises as `scene_logits`. Pixels without data have zeros.
    """
    return scene_logits(lambda tile: logits(tile).softmax(0), cube, normalisation, window, classes)


def scene_logits(
    logits: TileLogits, cube: Cube, normalisation: Normalisation, window: int, classes: int
) -> NDArray[np.float32]:
    """Return the logits [H, W, K] of all pixels of a cube, tile by tile.

    Pixels without data have zeros.

    Args:
        logits: Logits [K, h, w] of a normalised tile with its margin; see `tile_logits`.
        cube: Raw pixels [H, W, B].
        normalisation: Statistics of the training pixels.
        window: Side of the patches, in pixels.
        classes: Number of classes K.

    Raises:
        InputError: For a window larger than the scene.
    """
    height, width, _ = cube.shape
    check_window(window, height, width)
    values = np.empty((height, width, classes), np.float32)

    @torch.inference_mode()
    def fill(rows: range, columns: range) -> int:
        pixels, valid = cube.block(rows, columns, window // 2)
        tile = torch.from_numpy(normalisation.apply(pixels)).permute(2, 0, 1)
        found = logits(tile[None, None]).permute(1, 2, 0).cpu().numpy()
        values[rows.start : rows.stop, columns.start : columns.stop] = np.where(
            valid[..., None], found, np.float32(0)
        )
        return len(rows) * len(columns)

    work_on_tiles(fill, height, width)
    return values


def work_on_tiles(
    fill: Callable[[range, range], int],
    height: int,
    width: int,
    progress: Callable[[int, int], None] = _silent,
) -> None:
    """Call `fill` with the rows and columns of every tile, as many at a time as torch's threads.

    Args:
        fill: Returns the number of pixels that it has done.
        height: Rows of the scene.
        width: Columns of the scene.
        progress: Receives the number of pixels done and in total.
    """
    done, total = 0, height * width
    progress(done, total)
    threads = torch.get_num_threads()
    # A tile's operations are too short to be divided: two tiles on two cores are faster.
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[int]] = deque()
            for tile in tiles_of(height, width):
                if len(waiting) == 2 * threads:
                    done += waiting.popleft().result()
                    progress(done, total)
                waiting.append(pool.submit(fill, *tile))
            for future in waiting:
                done += future.result()
                progress(done, total)
    finally:
        torch.set_num_threads(threads)


def tiles_of(height: int, width: int) -> Iterator[tuple[range, range]]:
    """Yield the rows and columns of every tile of a scene."""
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            yield range(top, min(top + TILE, height)), range(left, min(left + TILE, width))


@contextmanager
def unfinished_map(
    stem: Path, shape: tuple[int, int], fields: DTypeLike, key: str
) -> Iterator[NDArray[Any]]:
    """Yield a map [H, W] in a file beside `stem`: zeros, or the values of an interrupted run.

    `key` identifies the pixels and the method; files of other keys are deleted. The file is deleted
    when the block ends, and stays when an exception passes through.

    Args:
        stem: Path of the map without suffix.
        shape: Rows and columns.
        fields: Type of a pixel, see `class_type` and `map_fields`.
        key: Text for the file's name.

    Raises:
        InputError: For a file that cannot be written.
    """
    path = stem.with_name(f"{stem.name}.{key}.unfinished.npy")
    for other in stem.parent.glob(f"{glob.escape(stem.name)}.*.unfinished.npy"):
        if other != path:
            other.unlink()
    if not path.exists():
        with replacing(path) as temporary:
            # Written out, because a memory map of a sparse file kills the process on a full disk.
            np.save(temporary, np.zeros(shape, fields))
    pixels: NDArray[Any] = np.load(path, mmap_mode="r+")
    yield pixels
    path.unlink()


def class_type(classes: int) -> type[np.uint8] | type[np.uint16]:
    """Return the narrowest type of numbers that holds class numbers 0..`classes`.

    >>> class_type(255).__name__, class_type(256).__name__
    ('uint8', 'uint16')
    """
    return np.uint8 if classes <= 255 else np.uint16
