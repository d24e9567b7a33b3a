"""Whole spatial blocks for testing, and the training pixels far enough from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from snnquant.config import SplitConfig
from snnquant.errors import InputError
from snnquant.scenes import Scene

Array: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class _Tiling:
    """Where labelled pixels lie among the blocks; pixels alike in all fields are one entry.

    A pixel can train if no block of the rectangle [top, bottom] x [left, right], the blocks nearer
    than the guard band is wide (its own included), is a test block.
    """

    shape: tuple[int, int]
    classes: int
    label: Array
    row: Array
    column: Array
    top: Array
    bottom: Array
    left: Array
    right: Array
    count: Array

    def testing(self, blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Entries inside the test blocks `blocks` [rows, columns]."""
        return blocks[self.row, self.column]

    def training(self, blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Entries that the guard band around the test blocks leaves."""
        total = np.zeros((self.shape[0] + 1, self.shape[1] + 1), np.int64)
        total[1:, 1:] = blocks.cumsum(0).cumsum(1)
        below, after = self.bottom + 1, self.right + 1
        inside = total[below, after] - total[self.top, after]
        inside += total[self.top, self.left] - total[below, self.left]
        none: NDArray[np.bool_] = inside == 0
        return none


def _axis(position: Array, length: int, size: int, guard: int) -> tuple[int, Array, Array, Array]:
    """Blocks along one axis: how many, each position's own, and the first and last within guard.

    A remainder of less than half a block joins the last one.
    """
    blocks = max(1, round(length / size))
    start = np.arange(blocks) * size
    end = np.append(start[1:], length)
    own = np.minimum(position // size, blocks - 1)
    first = np.searchsorted(end, position - guard + 1, side="right")
    last = np.searchsorted(start, position + guard, side="left") - 1
    return blocks, own, first, last


def _tile(scene: Scene, pixels: Array, size: int, guard: int) -> tuple[_Tiling, Array]:
    """Tiling of the labelled `pixels` of a scene, and the entry that each belongs to."""
    rows, row, top, bottom = _axis(pixels // scene.width, scene.height, size, guard)
    columns, column, left, right = _axis(pixels % scene.width, scene.width, size, guard)
    fields = np.stack([scene.labels.ravel()[pixels], row, column, top, bottom, left, right])
    entries, entry, count = np.unique(fields, axis=1, return_inverse=True, return_counts=True)
    return _Tiling((rows, columns), scene.classes, *np.vstack([entries, count])), entry


def _separable(tiling: _Tiling, label: int) -> bool:
    """Whether some block could test the class `label` and leave a training pixel of it."""
    own = tiling.label == label
    for row, column in np.unique(np.stack([tiling.row[own], tiling.column[own]], axis=1), axis=0):
        rows = (tiling.top <= row) & (row <= tiling.bottom)
        columns = (tiling.left <= column) & (column <= tiling.right)
        if (own & ~(rows & columns)).any():
            return True
    return False


def _cost(tiling: _Tiling, blocks: NDArray[np.bool_], fraction: float) -> tuple[int, float]:
    """What a draw makes small: first the number of classes without training or without test.

    Then the distance of the training share from `fraction`, of all pixels and of every class (the
    mean), plus the share of pixels that the guard band takes.
    """
    label, count = tiling.label - 1, tiling.count
    tested = np.bincount(label, count * tiling.testing(blocks), tiling.classes)
    trained = np.bincount(label, count * tiling.training(blocks), tiling.classes)
    used = tested + trained
    overall = abs(trained.sum() / max(used.sum(), 1) - fraction)
    by_class = np.abs(trained / np.maximum(used, 1) - fraction).mean()
    lost = 1 - used.sum() / count.sum()
    return int(((trained == 0) | (tested == 0)).sum()), float(overall + by_class + lost)


def _change_sides(
    tiling: _Tiling,
    blocks: NDArray[np.bool_],
    fraction: float,
    draw: np.random.Generator,
    classes_only: bool,
) -> tuple[int, float]:
    """Flip every labelled block once, in random order, and keep what does not raise the cost."""
    occupied = np.unique(np.stack([tiling.row, tiling.column], axis=1), axis=0)
    terms = 1 if classes_only else 2
    cost = _cost(tiling, blocks, fraction)
    for row, column in draw.permutation(occupied):
        blocks[row, column] ^= True
        changed = _cost(tiling, blocks, fraction)
        if changed[:terms] > cost[:terms]:
            blocks[row, column] ^= True
        else:
            cost = changed
    return cost


def draw_test_blocks(
    scene: Scene, config: SplitConfig, window: int, draw: np.random.Generator
) -> tuple[Array, Array]:
    """Draw test blocks; flat indices of the training side's pixels and of the test pixels.

    Blocks are drawn at random and change sides at random, so long as no class loses its training
    or its test pixels, until every class that can have both has both (or 20 draws did not give
    it, and the best is taken). Then changes are kept while `_cost` falls.
    Raises InputError when no class can have both.
    """
    fraction = config.train_fraction
    pixels = np.flatnonzero(scene.labels)
    tiling, entry = _tile(scene, pixels, config.block_size, window)
    one_sided = sum(not _separable(tiling, label) for label in range(1, scene.classes + 1))
    if one_sided == scene.classes:
        found = f"{config.block_size} on a scene of {scene.height}x{scene.width}"
        expected = f"expected blocks of one class at least {window} pixels (the window) apart"
        raise InputError(f"--block-size: found {found} ({scene.name}), {expected}")
    labelled = np.zeros(tiling.shape, bool)
    labelled[tiling.row, tiling.column] = True
    draws: list[tuple[int, NDArray[np.bool_]]] = []
    while len(draws) < 20 and (not draws or draws[-1][0] > one_sided):
        blocks = labelled & (draw.random(tiling.shape) >= fraction)
        for _ in range(3):
            missing, _ = _change_sides(tiling, blocks, fraction, draw, classes_only=True)
        draws.append((missing, blocks))
    blocks = min(draws, key=lambda pair: pair[0])[1]
    cost = _cost(tiling, blocks, fraction)
    while (changed := _change_sides(tiling, blocks, fraction, draw, classes_only=False)) < cost:
        cost = changed
    return pixels[tiling.training(blocks)[entry]], pixels[tiling.testing(blocks)[entry]]
