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


def draw_test_blocks(
    scene: Scene, config: SplitConfig, guard: int, draw: np.random.Generator
) -> tuple[Array, Array]:
    """Draw test blocks; return flat indices of the training side's and of the test pixels.

    Blocks are drawn at random, then change sides at random without taking from a class its last
    training or test pixel, until every class that can have both has both; after 20 draws without
    that, the best is taken. Then changes that lower `_Draw.cost` are kept.

    Raises `InputError` where no class can have both.
    """
    pixels = np.flatnonzero(scene.labels)
    tiling, entry = _tile(scene, pixels, config.block_size, max(guard, 1))
    one_sided = sum(not tiling.can_have_both(label) for label in range(scene.classes))
    if one_sided == scene.classes:
        found = f"{config.block_size} on a scene of {scene.height}x{scene.width}"
        expected = f"expected blocks of one class at least {guard} pixels (the guard band) apart"
        raise InputError(f"--block-size: found {found} ({scene.name}), {expected}")
    draws: list[_Draw] = []
    while len(draws) < 20 and (not draws or draws[-1].cost()[0] > one_sided):
        sides = _Draw(tiling, config.train_fraction, draw)
        for _ in range(3):
            if sides.cost()[0] > one_sided:
                sides.change(draw, terms=1)
        draws.append(sides)
    best = min(draws, key=lambda sides: sides.cost()[0])
    gain = np.inf
    while gain > 0.001:
        before = best.cost()
        after = best.change(draw, terms=2)
        gain = before[1] - after[1] if before[0] == after[0] else np.inf
    return pixels[(best.near == 0)[entry]], pixels[best.test[tiling.block][entry]]


@dataclass(frozen=True)
class _Tiling:
    """Labelled pixels grouped by their place among the blocks: an entry holds equal pixels.

    `label` (from 0), `block` and `count` have one value per entry. `around` holds, per block, the
    entries nearer to it than the guard band is wide, its own included: they cannot train while the
    block tests.
    """

    classes: int
    label: Array
    block: Array
    count: Array
    around: list[Array]

    def can_have_both(self, label: int) -> bool:
        """Tell whether a block could test the class and leave a training pixel of it."""
        own = self.label == label
        return any(
            own.sum() > own[self.around[block]].sum() for block in np.unique(self.block[own])
        )


class _Draw:
    """A choice of test blocks and the pixels that it gives each class; changed block by block."""

    def __init__(self, tiling: _Tiling, fraction: float, draw: np.random.Generator) -> None:
        self.tiling, self.fraction = tiling, fraction
        self.test = np.zeros(len(tiling.around), bool)
        self.near = np.zeros(len(tiling.label), np.int64)  # test blocks around each entry
        self.tested = np.zeros(tiling.classes, np.int64)
        self.trained = self._pixels(slice(None))
        self.total = self.trained.sum()
        for block in np.flatnonzero(draw.random(len(tiling.around)) >= fraction):
            self._flip(block)

    def cost(self) -> tuple[int, float]:
        """Return the objective: first, the number of classes without training or test pixels.

        Second, the distance of the training share from the requested one, over all pixels and as
        the mean over classes, plus the share of pixels lost to the guard band.
        """
        used = self.tested + self.trained
        overall = abs(self.trained.sum() / max(used.sum(), 1) - self.fraction)
        by_class = np.abs(self.trained / np.maximum(used, 1) - self.fraction).mean()
        lost = 1 - used.sum() / self.total
        one_sided = int(((self.trained == 0) | (self.tested == 0)).sum())
        return one_sided, float(overall + by_class + lost)

    def change(self, draw: np.random.Generator, terms: int) -> tuple[int, float]:
        """Flip every block, in random order, unless that raises the first `terms` of the cost."""
        cost = self.cost()
        for block in draw.permutation(len(self.test)):
            self._flip(block)
            changed = self.cost()
            if changed[:terms] > cost[:terms]:
                self._flip(block)
            else:
                cost = changed
        return cost

    def _flip(self, block: int) -> None:
        sign = -1 if self.test[block] else 1
        around = self.tiling.around[block]
        self.trained -= self._pixels(around[self.near[around] == 0])
        self.near[around] += sign
        self.trained += self._pixels(around[self.near[around] == 0])
        self.tested += sign * self._pixels(around[self.tiling.block[around] == block])
        self.test[block] ^= True

    def _pixels(self, entries: Array | slice) -> Array:
        """Count the pixels of each class in the entries."""
        tiling, pixels = self.tiling, np.zeros(self.tiling.classes, np.int64)
        np.add.at(pixels, tiling.label[entries], tiling.count[entries])
        return pixels


def _tile(scene: Scene, pixels: Array, size: int, guard: int) -> tuple[_Tiling, Array]:
    """Group the labelled `pixels` of a scene; return the tiling and the entry of each pixel.

    Blocks without labels are on neither side and left out.
    """
    rows, row_kind = _axis(scene.height, size, guard)
    columns, column_kind = _axis(scene.width, size, guard)
    labels = scene.labels.ravel()[pixels] - 1
    fields = (labels, row_kind[pixels // scene.width], column_kind[pixels % scene.width])
    sizes = (scene.classes, rows.shape[1], columns.shape[1])
    entries, entry, count = np.unique(
        np.ravel_multi_index(fields, sizes), return_inverse=True, return_counts=True
    )
    label, row_kinds, column_kinds = np.unravel_index(entries, sizes)
    row, top, bottom = rows[:, row_kinds]
    column, left, right = columns[:, column_kinds]
    stride = int(columns[0].max()) + 1
    names, block = np.unique(row * stride + column, return_inverse=True)
    pairs = []
    for down in range((bottom - top).max() + 1):
        for along in range((right - left).max() + 1):
            inside = np.flatnonzero((top + down <= bottom) & (left + along <= right))
            pairs.append(((top[inside] + down) * stride + left[inside] + along, inside))
    name, member = np.concatenate(pairs, axis=1)
    order = np.argsort(name, kind="stable")
    starts, ends = (np.searchsorted(name[order], names, side=side) for side in ("left", "right"))
    around = [member[order[i:j]] for i, j in zip(starts, ends, strict=True)]
    return _Tiling(scene.classes, label, block, count, around), entry


def _axis(length: int, size: int, guard: int) -> tuple[Array, Array]:
    """Return the kinds of positions along one axis, and the kind of each position.

    A kind [3, kinds] is the position's block, and the first and the last block within the guard
    band. A remainder of less than half a block joins the last one.
    """
    blocks = max(1, round(length / size))
    start = np.arange(blocks) * size
    end = np.append(start[1:], length)
    position = np.arange(length)
    own = np.minimum(position // size, blocks - 1)
    first = np.searchsorted(end, position - guard + 1, side="right")
    last = np.searchsorted(start, position + guard, side="left") - 1
    kinds, kind = np.unique(np.stack([own, first, last]), axis=1, return_inverse=True)
    return kinds, kind
