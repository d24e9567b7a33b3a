"""The class of every pixel of a scene, labelled or not, tile by tile."""

from __future__ import annotations

import glob
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from snnquant.inference.cube import Cube
from snnquant.inference.dense import Classifier
from snnquant.io import replacing
from snnquant.sampling import Normalisation
from snnquant.sampling.patches import check_window
from snnquant.scenes.labels import ClassMap

TILE = 64
"""Side of a tile in pixels. A thread holds what one tile takes, however large the scene.

Larger tiles are no faster; smaller ones compute more of the margins twice.
"""


def _silent(done: int, total: int) -> None:
    """No progress."""


def classify_scene(
    classify: Classifier,
    cube: Cube,
    normalisation: Normalisation,
    window: int,
    class_map: ClassMap,
    progress: Callable[[int, int], None] = _silent,
) -> None:
    """Fill `class_map` [H, W] with the class numbers, from 1, of all pixels of a cube [H, W, B].

    Tiles without a 0 in the map are done already and left as they are, so that a map that is a
    file can be gone on with. As many tiles are worked on at a time as torch has threads.
    `progress` is told how many pixels are done and how many there are.

    Raises `InputError` for a window larger than the scene and values that are not finite.
    """
    height, width, _ = cube.shape
    check_window(window, height, width)

    @torch.inference_mode()
    def fill(rows: range, columns: range) -> int:
        part = class_map[rows.start : rows.stop, columns.start : columns.stop]
        if not part.all():
            pixels = normalisation.apply(cube.block(rows, columns, window // 2))
            tile = torch.from_numpy(pixels).permute(2, 0, 1)
            part[:] = classify(tile[None, None]).cpu().numpy() + 1
        return part.size

    done, total = 0, height * width
    progress(done, total)
    threads = torch.get_num_threads()
    # A tile's operations are too short to be divided: two tiles on two cores are faster.
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[int]] = deque()
            for tile in _tiles(height, width):
                if len(waiting) == 2 * threads:
                    done += waiting.popleft().result()
                    progress(done, total)
                waiting.append(pool.submit(fill, *tile))
            for future in waiting:
                done += future.result()
                progress(done, total)
    finally:
        torch.set_num_threads(threads)


def _tiles(height: int, width: int) -> Iterator[tuple[range, range]]:
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            yield range(top, min(top + TILE, height)), range(left, min(left + TILE, width))


@contextmanager
def unfinished_map(
    stem: Path, shape: tuple[int, int], classes: int, key: str
) -> Iterator[ClassMap]:
    """A map [H, W] in a file beside `stem`, to be filled: 0, or what an earlier try got to.

    `key` says what the map is of and how it is made; what is left of a map with another key is
    deleted. The file is gone when the map is done, and stays when an exception passes through.
    Raises `InputError` where it cannot be written.
    """
    path = stem.with_name(f"{stem.name}.{key}.unfinished.npy")
    for other in stem.parent.glob(f"{glob.escape(stem.name)}.*.unfinished.npy"):
        if other != path:
            other.unlink()
    if not path.exists():
        dtype = np.uint8 if classes <= 255 else np.uint16
        with replacing(path) as temporary:
            # Written out, because a map of a file with holes kills the process on a full disk.
            np.save(temporary, np.zeros(shape, dtype))
    class_map: ClassMap = np.load(path, mmap_mode="r+")
    yield class_map
    path.unlink()
