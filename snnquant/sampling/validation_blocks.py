"""Validation on whole fields and blocks of the training side, and the pixels near them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label, maximum_filter

from snnquant.config import SplitConfig
from snnquant.errors import InputError
from snnquant.scenes import Scene

Array: TypeAlias = NDArray[np.int64]


def near(pixels: Array, guard: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the pixels [H * W] of a scene nearer than `guard` (Chebyshev) to any of `pixels`."""
    marked = np.zeros(shape, np.uint8)
    marked.ravel()[pixels] = 1
    if guard < 1:
        return np.zeros(marked.size, bool)
    return maximum_filter(marked, size=2 * guard - 1, mode="constant", cval=0).ravel() > 0


def hold_out_blocks(
    scene: Scene, learn: Array, config: SplitConfig, guard: int, draw: np.random.Generator
) -> tuple[Array, Array, list[str]]:
    """Take validation out of the training side by whole fields and blocks; name what is left out.

    A field is a class's connected training pixels, gaps of up to `block_size` bridged. A class of
    two or more validates on whole fields of half to twice its share; without such fields, on its
    pixels in whole blocks; without two blocks, on any field. Fields much larger than the share
    would cost training more than the honest choice is worth. Training pixels nearer than `guard`
    to a validation pixel are dropped.

    Every class keeps at least half of its training pixels, and so one of two fields: a class that
    can spare no field and no block is not validated. Where a band would cost another class more,
    the pixels that it would lie around stay on the training side.

    Every class gets one unit, small classes first, at random of those within a factor of 2 of its
    share, `validation_fraction`, else the nearest to it; more are taken at random as long as they
    bring the shares nearer. Of 10 draws, the one with the most validated classes is kept.

    Returns:
        Training and validation pixels, and the notes.

    Raises:
        InputError: No class can spare a field or a block.
    """
    shape = (scene.height, scene.width)
    labels = scene.labels.ravel()[learn] - 1
    kinds = _units(labels, learn, config, shape)
    draws: list[_HeldOut] = []
    while len(draws) < 10 and (not draws or draws[-1].missed):
        held = _HeldOut(scene.classes, labels, learn, guard, config.validation_fraction, shape)
        held.choose(kinds, draw)
        draws.append(held)
    best = min(draws, key=lambda held: len(held.missed))
    if not best.units:
        found = f"found blocks, but no class of {scene.name} can spare a field or a block"
        raise InputError(f"--validation: {found} for it, expected pixels, or a smaller --guard")
    lost = (best.near > 0) & ~best.val
    notes = [
        f"validation: {len(best.units)} fields and blocks, {lost.sum()} training pixels nearer "
        f"than {guard} pixels to them are dropped"
    ]
    if best.missed:
        names = ", ".join(f"'{scene.class_names[number]}'" for number in sorted(best.missed))
        notes.append(f"not validated, to keep half of its pixels in training: {names}")
    return learn[~best.val & ~lost], learn[best.val], notes


def _units(
    labels: Array, learn: Array, config: SplitConfig, shape: tuple[int, int]
) -> dict[int, list[list[Array]]]:
    """Return the units of each class, the preferred kind first.

    A unit holds positions in `learn`.
    """
    size = config.block_size
    row, column = np.divmod(learn, shape[1])
    stride = -(-shape[1] // size)
    block = row // size * stride + column // size
    kinds: dict[int, list[list[Array]]] = {}
    for number in np.unique(labels):
        own = np.flatnonzero(labels == number)
        # Squares of this side around two pixels touch where the gap between them is bridged.
        joined = near(learn[own], size // 2 + 1, shape).reshape(shape)
        field = label(joined, np.ones((3, 3)))[0].ravel()[learn[own]]
        share = config.validation_fraction * len(own)
        fields = [unit for unit in _groups(own, field) if len(unit) >= share / 2]
        fields = fields if len(fields) > 1 else []
        fitting = [unit for unit in fields if len(unit) <= 2 * share]
        blocks = _groups(own, block[own])
        choices = (fitting, blocks if len(blocks) > 1 else [], fields)
        kinds[int(number)] = [units for units in choices if units]
    return kinds


def _groups(members: Array, place: Array) -> list[Array]:
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
        self.total = self.trained = np.bincount(labels, minlength=classes)
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
        cost = self._cost()
        for i in draw.permutation(len(rest)):
            unit = self._take(rest[i])
            if unit is not None and (changed := self._cost()) < cost:
                cost = changed
            elif unit is not None:
                self._change(unit, -1)

    def _first(
        self, units: list[Array], number: int, draw: np.random.Generator, rest: list[Array]
    ) -> bool:
        """Take one of a class's units, at random of those near its share, else the nearest."""
        share = self.fraction * self.total[number]
        off = [max(abs(math.log(len(unit) / share)), math.log(2)) for unit in units]
        order = sorted(draw.permutation(len(units)), key=lambda i: off[i])
        for place, i in enumerate(order):
            if self._take(units[i]) is not None:
                rest += [units[j] for j in order[:place] + order[place + 1 :]]
                return True
        return False

    def _cost(self) -> float:
        """Return the distance from the wanted share, over pixels and classes, plus half the loss.

        A band is often larger than what it guards: at its full weight no second unit would pay.
        """
        held = np.bincount(self.labels[self.val], minlength=self.classes)
        present = self.total > 0
        overall = abs(held.sum() / len(self.learn) - self.fraction)
        by_class = np.abs(held[present] / self.total[present] - self.fraction).mean()
        lost = ((self.near > 0) & ~self.val).mean()
        return float(overall + by_class + lost / 2)

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
        band = near(self.learn[own], max(self.guard, 1), self.shape)
        return _Unit(own, np.flatnonzero(band[self.learn]))

    def _poor(self, unit: _Unit) -> Array:
        """Return the classes that would keep less than half of their training pixels."""
        lost = unit.around[self.near[unit.around] == 0]
        kept = self.trained - np.bincount(self.labels[lost], minlength=self.classes)
        return np.flatnonzero(2 * kept < self.total)

    def _change(self, unit: _Unit, sign: int) -> None:
        """Add a unit, or with sign -1 take the last one back."""
        self.val[unit.own] = sign > 0
        self.near[unit.around] += sign
        self.trained = np.bincount(self.labels[self.near == 0], minlength=self.classes)
        self.units = [*self.units, unit] if sign > 0 else self.units[:-1]
