"""Validation on whole fields and blocks of the training side, and the pixels near them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label, maximum_filter

from snnquant.config import SplitConfig
from snnquant.scenes import Scene

Array: TypeAlias = NDArray[np.int64]


def near(pixels: Array, guard: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the pixels [H * W] of a scene nearer than `guard` (Chebyshev) to any of `pixels`."""
    marked = np.zeros(shape, bool)
    if guard > 0 and len(pixels):
        rows, columns, box = _grown(pixels, guard, shape)
        marked[rows, columns] = box
    return marked.ravel()


def _grown(
    pixels: Array, guard: int, shape: tuple[int, int]
) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Return the rows and columns around pixels, and what of these `near` marks."""
    row, column = np.divmod(pixels, shape[1])
    top, left = max(int(row.min()) - guard, 0), max(int(column.min()) - guard, 0)
    bottom = min(int(row.max()) + guard, shape[0])
    right = min(int(column.max()) + guard, shape[1])
    box = np.zeros((bottom - top, right - left), np.uint8)
    box[row - top, column - left] = 1
    grown = maximum_filter(box, size=2 * guard - 1, mode="constant", cval=0)
    return slice(top, bottom), slice(left, right), grown > 0


def hold_out_blocks(
    scene: Scene, learn: Array, config: SplitConfig, guard: int, draw: np.random.Generator
) -> tuple[Array, Array, list[str]]:
    """Take validation out of the training side by whole fields and blocks; name what is left out.

    A field is a class's connected training pixels, gaps of up to `block_size` bridged. A class of
    two or more validates on whole fields of half to twice its share; without such fields, on its
    pixels in whole blocks, or in blocks of half the side where it can spare no whole one. Fields
    much larger than the share would cost training more than the honest choice is worth. Training
    pixels nearer than `guard` to a validation pixel are dropped.

    Every class keeps at least half of its training pixels, and so one of two fields: a class that
    cannot spare any of these is not validated. Where a band would cost another class more,
    the pixels that it would lie around stay on the training side.

    Every class gets one unit, small classes first, at random of those within a factor of 2 of its
    share, `validation_fraction`, else the nearest to it; more are taken at random as long as they
    bring the shares nearer. Of 8 draws, the best of those with the most validated classes is kept.

    Returns:
        Training and validation pixels, none of these if no class can spare any; the notes.
    """
    shape = (scene.height, scene.width)
    labels = scene.labels.ravel()[learn] - 1
    kinds = _units(labels, learn, config, shape)
    draws: list[_HeldOut] = []
    for _ in range(8):
        held = _HeldOut(scene.classes, labels, learn, guard, config.validation_fraction, shape)
        held.choose(kinds, draw)
        draws.append(held)
    best = min(draws, key=lambda held: (len(held.missed), held.cost()))
    lost = (best.near > 0) & ~best.val
    notes = [
        f"validation: {len(best.units)} fields and blocks, {lost.sum()} training pixels nearer "
        f"than {guard} pixels to them are dropped"
    ]
    if best.missed:
        names = ", ".join(f"'{scene.class_names[number]}'" for number in sorted(best.missed))
        notes.append(f"not validated, to keep half of its pixels in training: {names}")
    return learn[~best.val & ~lost], learn[best.val], notes


def hold_out_squares(
    learn: Array,
    classes: Array,
    config: SplitConfig,
    guard: int,
    draw: np.random.Generator,
    shape: tuple[int, int],
) -> tuple[Array, Array]:
    """Take validation out of the training side as `--split blocks` takes test pixels out.

    Whole blocks, all classes of each, are drawn at random until they hold `validation_fraction` of
    the pixels. Held-out pixels of a class that no longer trains are left out.

    Args:
        learn: Flat indices [N] of the training side.
        classes: Their classes [N].
        config: Share and block size.
        guard: Training pixels nearer than this to a held-out one are dropped.
        draw: Source of random numbers.
        shape: Height and width of the scene.

    Returns:
        Training and validation pixels.
    """
    row, column = np.divmod(learn, shape[1])
    side = config.block_size
    _, block, count = np.unique(
        row // side * shape[1] + column // side, return_inverse=True, return_counts=True
    )
    order = draw.permutation(len(count))
    wanted = np.searchsorted(np.cumsum(count[order]), config.validation_fraction * len(learn)) + 1
    held = np.isin(block, order[:wanted])
    kept = ~near(learn[held], max(guard, 1), shape)[learn]
    return learn[kept], learn[held & np.isin(classes, classes[kept])]


def _units(
    labels: Array, learn: Array, config: SplitConfig, shape: tuple[int, int]
) -> dict[int, list[list[Array]]]:
    """Return the units of each class, the preferred kind first.

    A unit holds positions in `learn`.
    """
    size = config.block_size
    row, column = np.divmod(learn, shape[1])
    blocks = [row // side * shape[1] + column // side for side in (size, size // 2)]
    kinds: dict[int, list[list[Array]]] = {}
    for number in np.unique(labels):
        own = np.flatnonzero(labels == number)
        # Squares around two pixels touch where the gap is bridged: one less for an odd side.
        joined = near(learn[own], size // 2 + 1, shape).reshape(shape)
        field = label(joined, np.ones((3, 3)))[0].ravel()[learn[own]]
        share = config.validation_fraction * len(own)
        fields = _groups(own, field)
        fitting = [unit for unit in fields if share / 2 <= len(unit) <= 2 * share]
        choices = (fitting if len(fields) > 1 else [], *(_groups(own, b[own]) for b in blocks))
        kinds[int(number)] = [units for units in choices if units]
    return kinds


def _groups(members: Array, place: Array) -> list[Array]:
    """Return the members by their place."""
    return [members[place == name] for name in np.unique(place)]


@dataclass
class _Unit:
    """Training pixels, by their positions, that validate together."""

    own: Array
    around: Array
    """Positions nearer to them than the guard band is wide, their own included."""


class _HeldOut:
    """A choice of validation units and the pixels that it leaves each class."""

    def __init__(
        self,
        classes: int,
        labels: Array,
        learn: Array,
        guard: int,
        fraction: float,
        shape: tuple[int, int],
    ) -> None:
        self.classes, self.labels, self.learn = classes, labels, learn
        self.guard, self.fraction, self.shape = guard, fraction, shape
        self.position = np.full(shape, -1)  # of each pixel in `learn`
        self.position.ravel()[learn] = np.arange(len(learn))
        self.total = self._by_class(slice(None))
        self.trained, self.held = self.total, np.zeros_like(self.total)
        self.val = np.zeros(len(learn), bool)
        self.near = np.zeros(len(learn), np.int64)  # units around each pixel
        self.units: list[_Unit] = []
        self.missed: set[int] = set()

    def choose(self, kinds: dict[int, list[list[Array]]], draw: np.random.Generator) -> None:
        """Take one unit of every class that can spare one, then more while they help."""
        rest: list[Array] = []
        for number in sorted(kinds, key=lambda number: int(self.total[number])):
            if not any(self._first(units, number, draw, rest) for units in kinds[number]):
                self.missed.add(number)
        cost = self.cost()
        for i in draw.permutation(len(rest)):
            unit = self._take(rest[i])
            if unit is not None and (changed := self.cost()) < cost:
                cost = changed
            elif unit is not None:
                self._change(unit, -1)

    def _first(
        self, units: list[Array], number: int, draw: np.random.Generator, rest: list[Array]
    ) -> bool:
        """Take a unit of a class, at random of those near its share, else that nearest to it."""
        share = self.fraction * self.total[number]
        off = [max(abs(math.log(len(unit) / share)), math.log(2)) for unit in units]
        order = sorted(draw.permutation(len(units)), key=lambda i: off[i])
        for place, i in enumerate(order):
            if self._take(units[i]) is not None:
                rest += [units[j] for j in order[:place] + order[place + 1 :]]
                return True
        return False

    def cost(self) -> float:
        """Return the distance from the wanted share, over pixels and classes, plus the loss."""
        pixels, present = len(self.learn), self.total > 0
        overall = abs(self.held.sum() / pixels - self.fraction)
        by_class = np.abs(self.held[present] / self.total[present] - self.fraction).mean()
        lost = 1 - (self.held.sum() + self.trained.sum()) / pixels
        return float(overall + by_class + lost)

    def _take(self, own: Array) -> _Unit | None:
        """Let a unit validate; None, and nothing changes, if a class would lose too much."""
        unit = self._unit(own)
        if len(poor := self._poor(unit)):
            of_poor = np.isin(self.labels, poor) & (self.labels != self.labels[own[0]])
            far = ~near(self.learn[of_poor], self.guard, self.shape)[self.learn[own]]
            unit = self._unit(own[far])
            if not len(unit.own) or len(self._poor(unit)):
                return None
        self._change(unit, 1)
        return unit

    def _unit(self, own: Array) -> _Unit:
        if not len(own):
            return _Unit(own, own)
        rows, columns, box = _grown(self.learn[own], max(self.guard, 1), self.shape)
        around = self.position[rows, columns][box]
        return _Unit(own, around[around >= 0])

    def _poor(self, unit: _Unit) -> Array:
        """Return the classes that would keep less than half of their training pixels."""
        kept = self.trained - self._by_class(unit.around[self.near[unit.around] == 0])
        return np.flatnonzero(2 * kept < self.total)

    def _change(self, unit: _Unit, sign: int) -> None:
        """Add a unit, or with sign -1 take the last one back."""
        self.val[unit.own] = sign > 0
        self.held = self.held + sign * self._by_class(unit.own)
        self.trained = self.trained - self._by_class(unit.around[self.near[unit.around] == 0])
        self.near[unit.around] += sign
        self.trained += self._by_class(unit.around[self.near[unit.around] == 0])
        self.units = [*self.units, unit] if sign > 0 else self.units[:-1]

    def _by_class(self, positions: Array | slice) -> Array:
        return np.bincount(self.labels[positions], minlength=self.classes)
