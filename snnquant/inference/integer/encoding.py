"""Loops over pixels that numba compiles: raw or normalised values to whole codes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnquant.inference.integer.vectors import (
    LANES,
    any_apart,
    clipped,
    compiled,
    fill,
    load_floats,
    nearest,
    pair,
    part,
    spread_float,
    store_narrow,
)
from snnquant.sampling import Normalisation

Floats = NDArray[np.float32]
Longs = NDArray[np.int64]
Words = NDArray[np.int32]

BYTE = 128
"""Codes of -128..127 fit into bytes."""


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
    zero: int
    """Number that stands for code 0: 128 where codes are bytes, which have no sign."""

    @classmethod
    def of_codes(cls, bands: int, per_unit: float, limit: int, *, in_bytes: bool) -> Coder:
        """Return the coder of normalised values: so many codes per unit."""
        zeros, ones = np.zeros(bands, np.float32), np.ones(bands, np.float32)
        high = min(limit, BYTE - 1) if in_bytes else limit
        one, bounds = np.float32(1), (np.float32(-limit), np.float32(high))
        zero = BYTE * in_bytes
        return cls(zeros, ones, ones * np.float32(per_unit), one, *bounds, False, one, zero)

    @classmethod
    def of_values(
        cls, normalisation: Normalisation, per_unit: float, limit: int, *, in_bytes: bool
    ) -> Coder | None:
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
        zero = BYTE * in_bytes
        return cls(normalisation.mean, std, factor, step, *bounds, True, doubt, zero)


@part
def encode_pixel(values: Floats, at: int, coder: Coder, codes: NDArray[Any], to: int) -> None:
    """Write the codes of the pixel at value `at` from codes[to] on, in whole vectors.

    `codes` are int16, or uint8 where `coder.zero` is 128.
    """
    bands = len(coder.mean)
    low, high = spread_float(coder.low), spread_float(coder.high)
    doubt, step = spread_float(coder.doubt), spread_float(coder.step)
    zero = fill(coder.zero)
    for b in range(0, bands, LANES):
        count = bands - b
        x = load_floats(values, at + b, count) - load_floats(coder.mean, b, count)
        y = x * load_floats(coder.factor, b, count)
        code = nearest(y)
        if coder.divides and any_apart(y, code, doubt):
            code = nearest(x / load_floats(coder.std, b, count) / step)
        store_narrow(codes, to + b, clipped(code, low, high) + zero)


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
    starts[v] - padding and the next, 0 outside.
    """
    _, height, width, bands = values.shape
    sample, down, right = values.strides[0] // 4, values.strides[1] // 4, values.strides[2] // 4
    longest = padding + bands + LANES
    for v in range(len(starts)):
        longest = max(longest, starts[v] + 2)
    codes = np.zeros(longest, np.int16)
    p = 0
    for row in range(first, first + count):
        at = row // height * sample + row % height * down
        for _ in range(width):
            encode_pixel(values, at, coder, codes, padding)
            for v in range(len(starts)):
                pairs[p, v] = pair(codes, starts[v])
            p += 1
            at += right


@compiled
def encode_whole(values: Floats, first: int, count: int, coder: Coder, codes: NDArray[Any]) -> None:
    """Fill `codes` [P, V], int16 or uint8, with those of `count` rows of values from a row on."""
    _, height, width, _ = values.shape
    sample, down, right = values.strides[0] // 4, values.strides[1] // 4, values.strides[2] // 4
    flat, to = codes.ravel(), 0
    for row in range(first, first + count):
        at = row // height * sample + row % height * down
        for _ in range(width):
            encode_pixel(values, at, coder, flat, to)
            to += codes.shape[1]
            at += right
