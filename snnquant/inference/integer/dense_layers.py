"""Layers of spikes as products of bytes, all steps of four places at once: loops of numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnquant.inference.integer.first_layers import BESIDE, AcrossTable, dots_across
from snnquant.inference.integer.kernels import (
    NeuronTable,
    Spikes,
    Words,
    deliver,
    fire,
)
from snnquant.inference.integer.vectors import compiled, part


@compiled
def dense_layer(
    spikes: Spikes,
    inputs: int,
    table: AcrossTable,
    depth: int,
    stride: int,
    neurons: NeuronTable,
    codes: Words,
    out: Spikes,
) -> None:
    """Run all steps of neurons [depth, K] at all places of `spikes`, rows of so many `inputs`.

    `stride` is the number of inputs from the window of a depth to the next; `out` is filled.
    """
    steps, length, words = spikes.steps, len(codes), spikes.rows.view(np.uint32)
    _, height, width = spikes.shape
    places = spikes.shape[0] * (height - table.rows + 1) * (width - table.columns + 1)
    weights, across = table.weights.ravel(), table.weights.shape[3]
    row = inputs // 4
    down, right = (table.rows, width * steps * row), (table.columns, steps * row)
    sums, rows = np.empty(BESIDE * steps * length, np.int32), np.empty((steps, length), np.uint8)
    starts, corners = np.empty(BESIDE * steps, np.int64), np.empty(BESIDE, np.int64)
    begin: Any = np.int64(0)  # a literal would have `dots_across` compiled anew
    out.bounds[0] = 0
    for start in range(0, places, BESIDE):
        for p in range(BESIDE):
            at = corner_of(spikes.shape, table, min(start + p, places - 1)) * steps * row
            for t in range(steps):
                starts[p * steps + t] = at + t * row
        for r in range(0, BESIDE * steps, BESIDE):
            for d in range(depth):
                for p in range(BESIDE):
                    corners[p] = starts[r + p] + d * stride // 4
                to = r * length + d * across
                dots_across(
                    words,
                    corners,
                    down,
                    right,
                    table.taps,
                    weights,
                    begin,
                    across,
                    sums,
                    to,
                    length,
                )
        for p in range(min(BESIDE, places - start)):
            fire(sums, p * steps * length, length, neurons, neurons.cells, 0, False, rows)
            deliver(rows, codes, out, start + p)


@compiled
def dense_read_out(spikes: Spikes, inputs: int, table: AcrossTable, totals: Words) -> None:
    """Fill `totals` [P, L] with the sums of all steps, from counts of so many `inputs`.

    P is the number of places, rounded up to four.
    """
    words, sums = spikes.rows.view(np.uint32), totals.ravel()
    _, height, width = spikes.shape
    places = spikes.shape[0] * (height - table.rows + 1) * (width - table.columns + 1)
    weights, length = table.weights.ravel(), table.weights.shape[3]
    row = inputs // 4
    down, right = (table.rows, width * row), (table.columns, row)
    corners = np.empty(BESIDE, np.int64)
    begin: Any = np.int64(0)
    for start in range(0, places, BESIDE):
        for p in range(BESIDE):
            corners[p] = corner_of(spikes.shape, table, min(start + p, places - 1)) * row
        to = start * length
        dots_across(
            words, corners, down, right, table.taps, weights, begin, length, sums, to, length
        )


@part
def corner_of(shape: tuple[int, int, int], table: AcrossTable, position: int) -> int:
    """Return the first place, in tiles [N, H, W], of the window at a position."""
    _, height, width = shape
    across = width - table.columns + 1
    sample, place = divmod(position, (height - table.rows + 1) * across)
    y, x = divmod(place, across)
    return (sample * height + y) * width + x
