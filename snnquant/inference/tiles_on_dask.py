"""Tiles of a map on the workers of a Dask cluster, to the bits of `fill_map`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pim_sim.cluster import computed, connected, worker_failures
from snnquant.errors import InputError
from snnquant.inference.cube import Cube
from snnquant.inference.tiles import (
    Tile,
    TileMethod,
    keep_tile,
    known_classes,
    tiles_of,
)
from snnquant.sampling.patches import check_window
from snnquant.scenes.pixels import remark

PACKAGES = ("snnquant", "pim_sim")
"""Packages that workers must have with the same code."""
TILES_PER_TASK = 8
"""Tiles that a worker computes at a time: some tenths of a second of work."""
Place = tuple[range, range]


@dataclass(frozen=True)
class MadeMethod:
    """A `TileMethod` that every worker makes for itself once: compiled loops cannot be sent."""

    key: str
    """Text that tells the method from those of other maps."""
    make: Callable[[], TileMethod] = field(compare=False)
    """Makes it; pickled."""


def fill_map_on_dask(
    method: TileMethod,
    there: MadeMethod,
    cube: Cube,
    pixels: NDArray[Any],
    progress: Callable[[int, int], None],
    scheduler: str,
) -> None:
    """Fill a map [H, W] as `fill_map` does, on the workers of a cluster.

    Workers read the files of a mapped cube where all of them see these; else they are sent tiles.

    Args:
        method: The map of one tile.
        there: The same for workers.
        cube: Raw pixels [H, W, B].
        pixels: As in `fill_map`; only this process writes them.
        progress: Receives the number of pixels done and in total.
        scheduler: Address of a Dask scheduler.

    Raises:
        InputError: For a window larger than the scene, a cluster that is missing, and workers that
            fail, have other code or lack the cube's files.
    """
    height, width, _ = cube.shape
    check_window(method.window, height, width)
    with connected(scheduler) as client:
        reads = _is_visible(client, cube)
        left = [
            place for place in tiles_of(height, width) if not known_classes(pixels, *place).all()
        ]
        done = height * width - sum(map(_size, left))
        progress(done, height * width)
        # A task of its own, so that the method is sent once and not lost with a worker.
        shared = client.submit(_same, there, pure=False)

        def calls() -> Iterator[tuple[list[Place], tuple[Any, ...]]]:
            for start in range(0, len(left), TILES_PER_TASK):
                places = left[start : start + TILES_PER_TASK]
                known = [known_classes(pixels, *place).copy() for place in places]
                source = (cube, places, known)
                yield places, (shared, *(source if reads else (_read(method, *source),)))

        function = read_and_compute if reads else compute
        for places, found in computed(client, PACKAGES, function, calls()):
            for place, values in zip(places, found, strict=True):
                if values is not None:
                    keep_tile(pixels, *place, values)
            done += sum(map(_size, places))
            progress(done, height * width)


def read_and_compute(
    method: MadeMethod, cube: Cube, places: list[Place], known: list[NDArray[np.integer]]
) -> list[NDArray[Any] | None]:
    """Read and compute tiles, on a worker; None for those with known classes.

    Raises `InputError` where the worker lacks the cube's files.
    """
    if cube.visible is not None and not cube.visible():
        raise InputError(f"{cube.name}: not seen by a worker, expected the same file on each")
    return compute(method, _read(_made(method), cube, places, known))


@torch.inference_mode()
def compute(method: MadeMethod, tiles: list[Tile | None]) -> list[NDArray[Any] | None]:
    """Compute tiles, on a worker."""
    return [None if tile is None else _made(method)(tile) for tile in tiles]


def _read(
    method: TileMethod, cube: Cube, places: list[Place], known: list[NDArray[np.integer]]
) -> list[Tile | None]:
    return [
        Tile.read(cube, method, *place, classes)
        for place, classes in zip(places, known, strict=True)
    ]


@functools.lru_cache(maxsize=2)
def _made(method: MadeMethod) -> TileMethod:
    torch.set_num_threads(1)  # as `work_on_tiles` does: sums in parts may round otherwise
    return method.make()


def _same(method: MadeMethod) -> MadeMethod:
    return method


def _size(place: Place) -> int:
    rows, columns = place
    return len(rows) * len(columns)


def _is_visible(client: Any, cube: Cube) -> bool:
    """Return whether the workers read the cube themselves; say so where they cannot."""
    if cube.visible is None:
        return False
    with worker_failures():
        seen = all(client.run(cube.visible).values())
    if not seen:
        remark(f"{cube.name}: not the same file on every worker: its tiles are sent to them")
    return seen
