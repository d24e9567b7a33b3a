"""Loops over pixels that numba compiles: raw or normalised values to whole codes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnquant.inference.integer.vectors import (
    LANES,
    any_apart,
    clipped,
    compiled,
    load_floats,
    nearest,
    pair,
    part,
    spread_float,
    store_halves,
)
from snnquant.sampling import Normalisation

Floats = NDArray[np.float32]
Longs = NDArray[np.int64]
Words = NDArray[np.int32]


class Coder(NamedTuple):
    """A line per band from values to codes: round (value - mean) * factor, clipped.

    Where `divides`, the code is that of ``(value - mean) / std / step`` in float32 to the last bit:
    a product close to halfway between two codes is computed again so.
    """

    mean: Floats
    std: Floats
    factor: Floats
    step: np.float32
    low: np.float32
    high: np.float32
    divides: bool
    doubt: np.float32
    """Distance from a code past which the two may round to different ones."""

    @classmethod
    def of_codes(cls, bands: int, per_unit: float, limit: int) -> Coder:
        """Return the coder of normalised values: so many codes per unit."""
        zeros, ones = np.zeros(bands, np.float32), np.ones(bands, np.float32)
        one, low, high = np.float32(1), np.float32(-limit), np.float32(limit)
        return cls(zeros, ones, ones * np.float32(per_unit), one, low, high, False, one)

    @classmethod
    def of_values(cls, normalisation: Normalisation, per_unit: float, limit: int) -> Coder | None:
        """Return the coder of raw values, whose codes are those of the normalised values.

        None where a normalisation is more than a line per band.
        """
        if normalisation.components is not None or normalisation.spectra != "raw":
            return None
        grid, std = normalisation.grid, normalisation.std
        step = np.float32(1 / per_unit if grid is None else grid.step)
        low, high = (-limit, limit) if grid is None else (grid.low, grid.high)
        factor = (1 / (std.astype(np.float64) * step)).astype(np.float32)
        # Both forms are within four roundings of the exact value, of 2^-24 of it each.
        doubt = np.float32(0.5 - max(-low, high) * 2.0**-20)
        bounds = np.float32(low), np.float32(high)
        return cls(normalisation.mean, std, factor, step, *bounds, True, doubt)


@part
def encode_pixel(values: Floats, at: int, coder: Coder, codes: NDArray[np.int16], to: int) -> None:
    """Write the codes of the pixel at value `at` from codes[to] on, in whole vectors."""
    bands = len(coder.mean)
    low, high = spread_float(coder.low), spread_float(coder.high)
    doubt, step = spread_float(coder.doubt), spread_float(coder.step)
    for b in range(0, bands, LANES):
        count = bands - b
        x = load_floats(values, at + b, count) - load_floats(coder.mean, b, count)
        y = x * load_floats(coder.factor, b, count)
        code = nearest(y)
        if coder.divides and any_apart(y, code, doubt):
            code = nearest(x / load_floats(coder.std, b, count) / step)
        store_halves(codes, to + b, clipped(code, low, high))


@compiled
def encode(
    values: Floats,
    first: int,
    count: int,
    coder: Coder,
    padding: int,
    starts: Longs,
    pairs: Words,
) -> None:
    """Fill `pairs` [P, V] with the codes of `count` rows of values [N, h, w, B] from a row on.

    Rows of one sample follow those of the one before. Word v of a pixel holds the codes of band
    starts[v] - padding and the next, 0 outside; without `starts` those of bands 2v and 2v + 1.
    """
    _, height, width, bands = values.shape
    sample, down, right = values.strides[0] // 4, values.strides[1] // 4, values.strides[2] // 4
    longest = padding + bands + LANES
    for v in range(len(starts)):
        longest = max(longest, starts[v] + 2)
    codes = np.zeros(longest, np.int16)
    halves = pairs.view(np.int16)
    p = 0
    for row in range(first, first + count):
        at = row // height * sample + row % height * down
        for _ in range(width):
            if len(starts):
                encode_pixel(values, at, coder, codes, padding)
                for v in range(len(starts)):
                    pairs[p, v] = pair(codes, starts[v])
            else:
                encode_pixel(values, at, coder, halves, p * halves.shape[1])
            p += 1
            at += right
