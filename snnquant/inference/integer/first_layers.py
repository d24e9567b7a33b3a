"""First layers, which multiply pixels by weights and run neurons: loops that numba compiles."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnquant.inference.integer.kernels import (
    Longs,
    NeuronTable,
    Spikes,
    Words,
    deliver,
    fire,
)
from snnquant.inference.integer.vectors import (
    LANES,
    compiled,
    dot,
    dot_like,
    fill,
    load,
    part,
    spread,
    store,
)

ABREAST = 8
"""Filters whose sums `first_layer` keeps in registers, one vector each."""
BESIDE = 4
"""Places whose sums `first_layer_across` keeps in registers."""


class FirstLayerTable(NamedTuple):
    """The K filters of the first layer over pairs of bands: weights [K / 8, h, w, taps, 8].

    Lane d of the sums of tap i is the product with the pair taps[i] + d of a pixel.
    """

    weights: Words
    taps: Longs
    rows: int
    columns: int


class AcrossTable(NamedTuple):
    """Filters over runs of a place's values: weights [h, w, taps, L], by words of these values.

    A word is two int16, or as uint32 four bytes. L sums, one per filter, are whole vectors.
    """

    weights: NDArray[Any]
    taps: int
    rows: int
    columns: int


@compiled
def first_layer(
    pairs: Words,
    shape: tuple[int, int, int],
    table: FirstLayerTable,
    neurons: NeuronTable,
    codes: Words,
    depth: int,
    out: Spikes,
) -> None:
    """Run all steps of neurons [K, depth] at all places, on pixels that stay the same.

    `pairs` [N H W, V] are those of `encode`; `out` is filled.
    """
    samples, height, width = shape
    length = len(codes)
    sums, rows = np.empty(length + LANES, np.int32), np.empty((out.steps, length), np.uint8)
    out.bounds[0] = place = 0
    for sample in range(samples):
        for y in range(height - table.rows + 1):
            for x in range(width - table.columns + 1):
                corner = (sample * height + y) * width + x
                for group in range(len(table.weights)):
                    for d in range((depth - 1) // LANES * LANES, -1, -LANES):
                        _dots(pairs, corner, width, d, table, group, depth, sums)
                fire(sums, 0, 0, neurons, neurons.cells, 0, False, rows)
                deliver(rows, codes, out, place)
                place += 1


@part
def _dots(
    pairs: Words,
    corner: int,
    width: int,
    d: int,
    table: FirstLayerTable,
    group: int,
    depth: int,
    sums: Words,
) -> None:
    """Compute sums d..d+15 of eight filters over the window at a corner pixel."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = fill(0)
    weights = table.weights
    k = group * (weights.size // len(weights))
    for i in range(table.rows):
        for j in range(table.columns):
            pixel = (corner + i * width + j) * pairs.shape[1] + d
            for tap in table.taps:
                x = load(pairs, pixel + tap)
                s0 = dot(s0, x, spread(weights, k))
                s1 = dot(s1, x, spread(weights, k + 1))
                s2 = dot(s2, x, spread(weights, k + 2))
                s3 = dot(s3, x, spread(weights, k + 3))
                s4 = dot(s4, x, spread(weights, k + 4))
                s5 = dot(s5, x, spread(weights, k + 5))
                s6 = dot(s6, x, spread(weights, k + 6))
                s7 = dot(s7, x, spread(weights, k + 7))
                k += ABREAST
    to = group * ABREAST * depth + d
    for total in (s0, s1, s2, s3, s4, s5, s6, s7):
        store(sums, to, total)
        to += depth


@compiled
def first_layer_across(
    words: NDArray[Any],
    shape: tuple[int, int, int],
    table: AcrossTable,
    neurons: NeuronTable,
    codes: Words,
    out: Spikes,
) -> None:
    """Run all steps of the K neurons at all places of filters that span all bands.

    `words` [N H W, V] are those of `encode_whole`; `out` is filled.
    """
    samples, height, width = shape
    down, right = height - table.rows + 1, width - table.columns + 1
    length, places = len(codes), samples * down * right
    sums, rows = np.empty(BESIDE * length, np.int32), np.empty((out.steps, length), np.uint8)
    corners = np.empty(BESIDE, np.int64)
    out.bounds[0] = 0
    for start in range(0, places, BESIDE):
        for p in range(BESIDE):
            sample, place = divmod(min(start + p, places - 1), down * right)
            y, x = divmod(place, right)
            corners[p] = ((sample * height + y) * width + x) * words.shape[1]
        dots_across(
            words,
            corners,
            (table.rows, width * words.shape[1]),
            (table.columns, words.shape[1]),
            table.taps,
            table.weights,
            0,
            length,
            sums,
            0,
            length,
        )
        for p in range(min(BESIDE, places - start)):
            fire(sums, p * length, 0, neurons, neurons.cells, 0, False, rows)
            deliver(rows, codes, out, start + p)


@part
def dots_across(
    words: NDArray[Any],
    corners: Longs,
    down: tuple[int, int],
    right: tuple[int, int],
    taps: int,
    weights: NDArray[Any],
    k: int,
    length: int,
    sums: Words,
    to: int,
    apart: int,
) -> None:
    """Compute the L sums of the windows at four corners, from sums[to] on, `apart` from each other.

    A corner is the place of a window's first word. `down` and `right` are its places in either
    direction and the words from one to the next; each has `taps` words. Weights start at k.
    """
    whole = length - length % (4 * LANES)
    for n in range(0, whole, 4 * LANES):
        _dots_of_four(
            words, corners, down, right, taps, weights, k + n, length, sums, to + n, apart
        )
    for n in range(whole, length, LANES):
        _dots_of_one(words, corners, down, right, taps, weights, k + n, length, sums, to + n, apart)


@part
def _dots_of_four(
    words: NDArray[Any],
    corners: Longs,
    down: tuple[int, int],
    right: tuple[int, int],
    taps: int,
    weights: NDArray[Any],
    k: int,
    length: int,
    sums: Words,
    to: int,
    apart: int,
) -> None:
    """Compute 64 sums of the windows at four corners."""
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = fill(0)
    c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = fill(0)
    for i in range(down[0]):
        for j in range(right[0]):
            at = i * down[1] + j * right[1]
            a, b, c, d = corners[0] + at, corners[1] + at, corners[2] + at, corners[3] + at
            for v in range(taps):
                w0, w1 = load(weights, k), load(weights, k + LANES)
                w2, w3 = load(weights, k + 2 * LANES), load(weights, k + 3 * LANES)
                x = spread(words, a + v)
                a0, a1 = dot_like(words, a0, x, w0), dot_like(words, a1, x, w1)
                a2, a3 = dot_like(words, a2, x, w2), dot_like(words, a3, x, w3)
                x = spread(words, b + v)
                b0, b1 = dot_like(words, b0, x, w0), dot_like(words, b1, x, w1)
                b2, b3 = dot_like(words, b2, x, w2), dot_like(words, b3, x, w3)
                x = spread(words, c + v)
                c0, c1 = dot_like(words, c0, x, w0), dot_like(words, c1, x, w1)
                c2, c3 = dot_like(words, c2, x, w2), dot_like(words, c3, x, w3)
                x = spread(words, d + v)
                d0, d1 = dot_like(words, d0, x, w0), dot_like(words, d1, x, w1)
                d2, d3 = dot_like(words, d2, x, w2), dot_like(words, d3, x, w3)
                k += length
    _store_apart(sums, to, LANES, a0, a1, a2, a3)
    _store_apart(sums, to + apart, LANES, b0, b1, b2, b3)
    _store_apart(sums, to + 2 * apart, LANES, c0, c1, c2, c3)
    _store_apart(sums, to + 3 * apart, LANES, d0, d1, d2, d3)


@part
def _dots_of_one(
    words: NDArray[Any],
    corners: Longs,
    down: tuple[int, int],
    right: tuple[int, int],
    taps: int,
    weights: NDArray[Any],
    k: int,
    length: int,
    sums: Words,
    to: int,
    apart: int,
) -> None:
    """Compute 16 sums of the windows at four corners."""
    s0 = s1 = s2 = s3 = fill(0)
    for i in range(down[0]):
        for j in range(right[0]):
            at = i * down[1] + j * right[1]
            for v in range(at, at + taps):
                w = load(weights, k)
                s0 = dot_like(words, s0, spread(words, corners[0] + v), w)
                s1 = dot_like(words, s1, spread(words, corners[1] + v), w)
                s2 = dot_like(words, s2, spread(words, corners[2] + v), w)
                s3 = dot_like(words, s3, spread(words, corners[3] + v), w)
                k += length
    _store_apart(sums, to, apart, s0, s1, s2, s3)


@part
def _store_apart(sums: Words, at: int, step: int, a: Any, b: Any, c: Any, d: Any) -> None:
    store(sums, at, a)
    store(sums, at + step, b)
    store(sums, at + 2 * step, c)
    store(sums, at + 3 * step, d)
