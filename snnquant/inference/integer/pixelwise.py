"""Networks whose neurons see one pixel each: all layers of a few pixels within a core's cache.

Spikes are bytes of 0 and 1, all steps of four pixels are rows of one product with the weights, and
the readout multiplies the number of spikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from snnquant.inference.integer.encoding import Coder, Floats, encode_pixel
from snnquant.inference.integer.first_layers import BESIDE, AcrossTable, dots_across
from snnquant.inference.integer.kernels import (
    Bytes,
    Longs,
    NeuronTable,
    Words,
    advance,
    after_spike,
    cells_of,
)
from snnquant.inference.integer.vectors import (
    LANES,
    compiled,
    load,
    part,
    store,
    store_bits,
    store_narrow,
)


class PointLayers(NamedTuple):
    """N layers of neurons, each with the weights after it, one after another in flat arrays."""

    cells: Words
    """Of `NeuronTable`."""
    kinds: Longs
    """Leak, reset and bits of potential, [N, 3]."""
    weights: NDArray[np.uint32]
    """Of `AcrossTable`, four bytes a word."""
    sizes: Longs
    """Neurons, words and sums after them, [N, 3]."""

    @classmethod
    def of(cls, neurons: Sequence[NeuronTable], tables: Sequence[AcrossTable]) -> Self:
        """Return layers of neurons with the tables after them."""
        kinds = [(layer.leak, layer.reset, layer.potential_bits) for layer in neurons]
        sizes = [
            (layer.cells.shape[1], table.taps, table.weights.shape[3])
            for layer, table in zip(neurons, tables, strict=True)
        ]
        return cls(
            np.concatenate([layer.cells.ravel() for layer in neurons]),
            np.array(kinds),
            np.concatenate([table.weights.ravel() for table in tables]),
            np.array(sizes),
        )


@compiled
def run_points(
    values: Floats,
    coder: Coder,
    pixels: tuple[NDArray[Any], NDArray[Any]],
    first: AcrossTable,
    layers: PointLayers,
    spikes: tuple[Bytes, NDArray[np.uint32]],
    sums: Words,
    steps: int,
    totals: Words,
) -> None:
    """Fill `totals` [P, L] with the sums of the classes of pixels [N, h, w, B] over all steps.

    P is the number of pixels, rounded up to four. `pixels`, `spikes` and `sums` are room for the
    codes, spikes and sums of four pixels; the first two as numbers and as words, the same memory.
    """
    samples, height, width, _ = values.shape
    sample, down, right = values.strides[0] // 4, values.strides[1] // 4, values.strides[2] // 4
    codes, words, between = pixels[0].ravel(), pixels[1].ravel(), pixels[1].shape[1]
    out, spike_words = spikes
    once, corners, weights = (1, 0), np.empty(BESIDE, np.int64), first.weights.ravel()
    begin: Any = np.int64(0)  # a literal would have `dots_across` compiled anew
    places, to = samples * height * width, 0
    beside = len(pixels[0])  # as a literal it would have LLVM repeat the body of every loop
    for start in range(0, places, BESIDE):
        for p in range(beside):
            corners[p] = p * between
            if start + p < places:
                row, x = divmod(start + p, width)
                at = row // height * sample + row % height * down + x * right
                encode_pixel(values, at, coder, codes, p * pixels[0].shape[1])
        length = first.weights.shape[3]
        dots_across(
            words, corners, once, once, first.taps, weights, begin, length, sums, begin, length
        )
        cell, k = begin, begin
        for i in range(len(layers.sizes)):
            length, taps, after = layers.sizes[i, 0], layers.sizes[i, 1], layers.sizes[i, 2]
            kind = layers.kinds[i, 0], layers.kinds[i, 1], layers.kinds[i, 2]
            every = steps if i else 1
            for p in range(beside):
                for n in range(0, length, LANES):
                    at, row = p * every * length + n, p * steps * length + n
                    u, own = load(layers.cells, cell + n), cells_of(layers.cells, cell + n, length)
                    spike = u > own[0]
                    for _ in range(steps):
                        u, spike = advance(u, spike, load(sums, at), own, kind)
                        store_bits(out, row, spike)
                        u = after_spike(u, spike, own, kind)
                        at, row = at + length * (i > 0), row + length
            rows, apart = BESIDE * steps, length
            if i + 1 == len(layers.sizes):
                _add_steps(out, beside, length, steps)
                rows, apart = BESIDE, length * steps
            for r in range(0, rows, BESIDE):
                for p in range(beside):
                    corners[p] = (r + p) * apart // 4
                dots_across(
                    spike_words,
                    corners,
                    once,
                    once,
                    taps,
                    layers.weights,
                    k,
                    after,
                    sums,
                    r * after,
                    after,
                )
            cell, k = cell + 5 * length, k + taps * after
        for n in range(0, BESIDE * totals.shape[1], LANES):
            store(totals, to, load(sums, n))
            to += LANES


@part
def _add_steps(spikes: Bytes, beside: int, length: int, steps: int) -> None:
    """Add the spikes [4, T, length] of all steps up in the rows of the first."""
    for p in range(beside):
        first = p * steps * length
        for n in range(first, first + length, LANES):
            count = load(spikes, n)
            for t in range(1, steps):
                count = count + load(spikes, n + t * length)
            store_narrow(spikes, n, count)
