"""Raw values of a file as pixels: bands chosen, no-data values found, units applied."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.nodata import fill_nearest, missing_values, undeclared

_ROWS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class PixelRules:
    """Rules by which the values of a file become pixels.

    >>> rules = PixelRules(nodata=-9999, scale=10000)
    >>> values, valid = rules.pixels(np.array([[[5000, 2500], [-9999, 2500]]], np.int16))
    >>> values[0, 0].tolist(), valid.tolist()
    ([0.5, 0.25], [[True, False]])
    """

    nodata: float | None = None
    """Value of pixels without data, before scaling."""
    scale: float = 1.0
    """Values are divided by it."""
    bands: NDArray[np.intp] | None = None
    """Positions of the bands to keep, from 0; None keeps all."""
    resampling: NDArray[np.float32] | None = None
    """[bands wanted, bands kept] weights of a change to other wavelengths."""

    def values(
        self, raw: NDArray[Any], out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Return values float32 [h, w, B] before resampling, and where they lack data, if any."""
        chosen = raw if self.bands is None else raw[..., self.bands]
        values = np.empty(chosen.shape, np.float32) if out is None else out
        with np.errstate(over="ignore"):  # becomes infinite, which counts as no data
            values[...] = chosen
        missing = missing_values(chosen, values, self.nodata)
        if self.scale != 1:
            values /= np.float32(self.scale)
        return values, missing

    def pixels(self, raw: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return pixels float32 [h, w, B], zeros where they have no data, and the mask [h, w]."""
        values, missing = self.values(raw)
        valid = np.ones(values.shape[:2], bool)
        if missing is not None:
            valid = np.asarray(~missing.any(axis=-1))
            values[~valid] = 0
        if self.resampling is not None:
            values = values @ self.resampling.T
        return values, valid


@dataclass(frozen=True, eq=False)
class Pixels:
    """A whole cube after its rules: no-data pixels have the values of their nearest neighbour."""

    cube: NDArray[np.float32]
    """[H, W, B], finite."""
    valid: NDArray[np.bool_]
    """[H, W]: False where a pixel has no data."""
    empty_bands: tuple[int, ...] = ()
    """Bands left out because no pixel has a value in them, from 0 among the bands kept."""


def read_pixels(
    raw: NDArray[Any], rules: PixelRules, where: str, *, drop_empty: bool = True
) -> Pixels:
    """Apply rules to a cube [H, W, B], by blocks of rows.

    A band without a value in any pixel is left out if `drop_empty`. Raises `InputError` that
    starts with `where` if no pixel has data.
    """
    bands = raw.shape[2] if rules.bands is None else len(rules.bands)
    cube = np.empty((*raw.shape[:2], bands), np.float32)
    low = np.float32(np.inf)
    gaps: dict[int, NDArray[np.bool_]] = {}
    for top in range(0, len(raw), _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        values, missing = rules.values(raw[rows], cube[rows])
        if missing is not None:
            gaps[top] = missing
            low = np.fmin(low, np.fmin.reduce(values, axis=None))
        else:
            low = np.fmin(low, values.min())
    valid = np.ones(raw.shape[:2], bool)
    undeclared_remark(where, float(low), rules)
    if not gaps:
        return Pixels(cube, valid)
    empty = np.zeros(bands, bool)
    if drop_empty and len(gaps) == -(-len(raw) // _ROWS_AT_ONCE):
        empty = np.logical_and.reduce([missing.all(axis=(0, 1)) for missing in gaps.values()])
    for top, missing in gaps.items():
        valid[top : top + _ROWS_AT_ONCE] = ~missing[..., ~empty].any(axis=-1)
    if empty.all() or not valid.any():
        raise InputError(f"{where}: found no pixel with data, expected some without no-data values")
    if empty.any():
        cube = np.ascontiguousarray(cube[..., ~empty])
    fill_nearest(cube, valid)
    return Pixels(cube, valid, tuple(np.flatnonzero(empty).tolist()))


def undeclared_remark(where: str, lowest: float, rules: PixelRules) -> None:
    """Say that the lowest value looks like a gap, where the source declares no value as one."""
    low = undeclared(lowest * rules.scale) if rules.nodata is None else None
    if low is not None:
        remark(
            f"{where}: found values of {low:.8g} that nothing declares as no data; nodata in the "
            "card does"
        )


def remark(text: str) -> None:
    """Tell the user on stderr, in one line, about input that was accepted with reservations."""
    print(f"snnquant: {text}", file=sys.stderr)


def listed(numbers: list[int]) -> str:
    """Return rising numbers as text, neighbours as ranges.

    >>> listed([1, 2, 3, 7, 9, 10])
    '1-3, 7, 9-10'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def count_remark(where: str, valid: NDArray[np.bool_], labelled: int = 0) -> None:
    """Say how many pixels have no data, once for a cube, and how many lost their label."""
    missing = int(valid.size - np.count_nonzero(valid))
    if missing:
        lost = f", {labelled} of them labelled" if labelled else ""
        remark(
            f"{where}: {missing} of {valid.size} pixels have no data (no-data value, NaN or "
            f"infinite){lost}: they take no part and are 0 on maps"
        )
