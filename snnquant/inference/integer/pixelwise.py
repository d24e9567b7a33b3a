"""Networks whose neurons see one pixel each: all layers pixel by pixel, within a core."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.inference.integer.encoding import Coder, Floats, encode_pixel
from snnquant.inference.integer.first_layers import BESIDE, AcrossTable, dots_across
from snnquant.inference.integer.kernels import NeuronTable, WeightRows, Words, fire, gather
from snnquant.inference.integer.vectors import LANES, compiled, part


@compiled
def run_points(
    values: Floats,
    coder: Coder,
    pairs: Words,
    first: AcrossTable,
    neurons: NeuronTable,
    codes: Words,
    second: WeightRows,
    later_neurons: NeuronTable,
    later_codes: Words,
    last: WeightRows,
    steps: int,
    totals: Words,
) -> None:
    """Fill `totals` [N h w, K] with the sums of the classes of pixels [N, h, w, B] over all steps.

    Two layers of neurons, each after weights, and a last synapse. `pairs` [w, V] is room for the
    codes of a row.
    """
    samples, height, width, _ = values.shape
    sample, down, right = values.strides[0] // 4, values.strides[1] // 4, values.strides[2] // 4
    halves, corners = pairs.view(np.int16), np.empty(BESIDE, np.int64)
    length, later = len(codes), len(later_codes)
    first_sums = np.empty(BESIDE * length, np.int32)
    sums = np.empty(steps * second.sums, second.table.dtype)
    class_sums = np.empty(last.sums, last.table.dtype)
    lists, ends = np.empty((steps, length + LANES), np.int32), np.empty(steps, np.int64)
    later_lists, later_ends = np.empty((steps, later + LANES), np.int32), np.empty(steps, np.int64)
    spikes, later_spikes = lists.ravel(), later_lists.ravel()  # views
    for row in range(samples * height):
        at = row // height * sample + row % height * down
        for x in range(width):
            encode_pixel(values, at + x * right, coder, halves, x * halves.shape[1])
        for start in range(0, width, BESIDE):
            for p in range(BESIDE):
                corners[p] = min(start + p, width - 1)
            dots_across(pairs, corners, width, first, first_sums, length)
            for p in range(min(BESIDE, width - start)):
                own = first_sums[p * length : (p + 1) * length]
                fire(own, 0, neurons, codes, neurons.start, 0, False, lists, ends)
                for n in range(len(sums)):
                    sums[n] = 0
                for t in range(steps):
                    begin = t * lists.shape[1]
                    _add(spikes, begin, ends[t], second, sums, t * second.sums)
                fire(
                    sums,
                    second.sums,
                    later_neurons,
                    later_codes,
                    later_neurons.start,
                    0,
                    False,
                    later_lists,
                    later_ends,
                )
                for n in range(len(class_sums)):
                    class_sums[n] = 0
                for t in range(steps):
                    begin = t * later_lists.shape[1]
                    _add(later_spikes, begin, later_ends[t], last, class_sums, 0)
                for k in range(totals.shape[1]):  # numba compiles for seconds on an assignment
                    totals[row * width + start + p, k] = class_sums[k]


@part
def _add(lists: Words, begin: int, end: int, rows: WeightRows, sums: NDArray[Any], at: int) -> None:
    """Add the rows of the spikes begin..end-1 to the sums from `at` on."""
    gather(lists, begin, end, rows.table, 0, rows.table.shape[2], sums, at)
