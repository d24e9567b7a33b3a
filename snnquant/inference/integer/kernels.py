"""Loops over places and time steps that numba compiles, independent of networks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnquant.inference.integer.vectors import (
    LANES,
    add_to,
    add_words,
    append,
    compiled,
    dot,
    fill,
    load,
    load_words,
    part,
    store,
    store_bits,
    store_narrow,
    where,
)
from snnquant.spiking import Reset

LEAK_BITS = 15
"""Fractional bits of a leak: 1 is 2^15."""
RESETS = {Reset.DELAYED: 0, Reset.SAME_STEP: 1, Reset.ZERO: 2}
"""Numbers of the resets that `fire` computes; `Layout.neurons` refuses all others."""
TOGETHER = 4
"""Vectors of the sums that `_add_up` keeps in registers."""

_ONE = 1 << LEAK_BITS
_DELAYED, _SAME_STEP, _ZERO = RESETS.values()

Bytes = NDArray[np.uint8]
Words = NDArray[np.int32]
Longs = NDArray[np.int64]


LISTS, ROWS, COUNTS = range(3)
"""Forms of the spikes of a layer."""


class Spikes(NamedTuple):
    """The spikes of neurons at the places of tiles [N, H, W], in the form that is read.

    LISTS of the codes of spiking neurons, in one array: those of step t of place q, counted row by
    row, are events[bounds[i] : bounds[i + 1]] with i = q T + t. ROWS of bytes 0 and 1 [q T + t, L],
    or COUNTS over all steps [q, L].
    """

    form: int
    events: Words
    bounds: Longs
    rows: Bytes
    shape: tuple[int, int, int]
    steps: int


class NeuronTable(NamedTuple):
    """L neurons of a place, in whole vectors; entries that are no neurons have no threshold."""

    cells: Words
    """Potential before the first step, threshold, shift, bias and rounding, [5, L]."""
    leak: int
    reset: int
    potential_bits: int


class WeightRows(NamedTuple):
    """The rows of weights [h w, R, S] that spikes add, per place of a window, int16 or int32.

    A code is ``row << shift | block``: the row is added to the sums from 16 block on. Where `shift`
    is 0 all rows are added to the first sums.
    """

    table: NDArray[Any]
    sums: int
    """Length of the sums that rows are added to."""
    shift: int
    rows: int
    columns: int


@part
def fire(
    sums: NDArray[Any],
    at: int,
    step: int,
    neurons: NeuronTable,
    potential: Words,
    start: int,
    keeps: bool,
    rows: Bytes,
) -> None:
    """Run the steps of a place's neurons; write the spikes to rows [T, L] of bytes 0 and 1.

    Potentials begin at `start` and are written back where `keeps`; sums begin at `at`, one `step`
    apart. With the current I = 2^shift sum + bias and floor(leak u / 2^15) for the leak, the
    recurrences are those of `snnquant.spiking.lif`, or where potentials are narrow, with I shifted
    right by `rounding`, of `snnquant.spiking.potentials`; u > V recovers the last spike, which the
    delayed reset subtracts.
    """
    kind, length = (neurons.leak, neurons.reset, neurons.potential_bits), rows.shape[1]
    for n in range(0, length, LANES):
        u, cells = load(potential, start + n), cells_of(neurons.cells, n, length)
        spike = u > cells[0]
        for t in range(len(rows)):
            u, spike = advance(u, spike, load(sums, at + t * step + n), cells, kind)
            store_bits(rows, t * length + n, spike)
            u = after_spike(u, spike, cells, kind)
        if keeps:
            store(potential, start + n, u)


@part
def cells_of(cells: Words, n: int, length: int) -> tuple[Any, Any, Any, Any]:
    """Return thresholds, shifts, biases and roundings of neurons whose potentials stand at n."""
    limit, shift = load(cells, n + length), load(cells, n + 2 * length)
    return limit, shift, load(cells, n + 3 * length), load(cells, n + 4 * length)


@part
def advance(
    u: Any, spike: Any, total: Any, cells: Any, kind: tuple[int, int, int]
) -> tuple[Any, Any]:
    """Return potentials and spikes of sixteen neurons after a step with these sums.

    `kind` is their leak, reset and bits of potential.
    """
    zero, bits, leak = fill(0), fill(LEAK_BITS), fill(kind[0])
    limit, shift, bias, rounding = cells
    narrow = kind[2] < 32
    current = (total << shift) + bias
    if narrow:
        current = current >> rounding
    if kind[1] == _DELAYED:
        current = current - where(spike, limit, zero)
    if kind[0] == _ONE:
        u = u + current
    else:  # of two halves of u below 2^30, each of which fits 16 bits
        u = dot(current, u >> bits, leak) + (dot(zero, u & fill(_ONE - 1), leak) >> bits)
    if narrow:
        largest, smallest = fill((1 << (kind[2] - 1)) - 1), fill(-(1 << (kind[2] - 1)))
        u = where(u > largest, largest, u)
        u = where(smallest > u, smallest, u)
    return u, u > limit


@part
def after_spike(u: Any, spike: Any, cells: Any, kind: tuple[int, int, int]) -> Any:
    """Return potentials after the reset of the same step, if it is one."""
    if kind[1] == _SAME_STEP:
        return u - where(spike, cells[0], fill(0))
    if kind[1] == _ZERO:
        return where(spike, fill(0), u)
    return u


@part
def deliver(rows: Bytes, codes: Words, out: Spikes, place: int) -> None:
    """Write the spikes [T, L] of a place, after those of the place before it."""
    steps, length = rows.shape
    if out.form == LISTS:
        end = out.bounds[place * steps]
        for t in range(steps):
            for n in range(0, length, LANES):
                spike = load(rows, t * length + n) > fill(0)
                end = append(out.events, end, load(codes, n), spike)
            out.bounds[place * steps + t + 1] = end
    elif out.form == ROWS:
        for n in range(0, steps * length, LANES):
            store_narrow(out.rows, place * steps * length + n, load(rows, n))
    else:
        for n in range(0, length, LANES):
            count = load(rows, n)
            for t in range(1, steps):
                count = count + load(rows, n + t * length)
            store_narrow(out.rows, place * length + n, count)


@part
def _corner(spikes: Spikes, weights: WeightRows, position: int) -> int:
    """Return the first place of the window at a position."""
    _, height, width = spikes.shape
    across = width - weights.columns + 1
    sample, place = divmod(position, (height - weights.rows + 1) * across)
    y, x = divmod(place, across)
    return (sample * height + y) * width + x


@part
def _add_up(
    spikes: Spikes,
    corner: int,
    first: int,
    count: int,
    weights: WeightRows,
    sums: NDArray[Any],
    at: int,
) -> None:
    """Add the rows of all spikes in the window at a corner, of `count` steps from `first` on.

    They are added to the sums from `at` on.
    """
    table, length = weights.table, weights.table.shape[2]
    if weights.shift:
        start = 0
        for i in range(weights.rows):
            for j in range(weights.columns):
                q = (corner + i * spikes.shape[2] + j) * spikes.steps + first
                begin, end = spikes.bounds[q], spikes.bounds[q + count]
                _scatter(spikes.events, begin, end, table, start, length, weights.shift, sums, at)
                start += table.shape[1] * length
        return
    each = 4 * LANES // table.itemsize
    whole = length - length % (TOGETHER * each)
    for n in range(0, whole, TOGETHER * each):
        _gather_four(spikes, corner, first, count, weights, n, sums, at + n)
    for n in range(whole, length, each):
        _gather_one(spikes, corner, first, count, weights, n, sums, at + n)


@part
def _scatter(
    events: Words,
    begin: int,
    end: int,
    table: NDArray[Any],
    start: int,
    length: int,
    shift: int,
    sums: NDArray[Any],
    at: int,
) -> None:
    """Add the rows of events begin..end-1, in table from `start` on, at their codes' blocks."""
    low = (1 << shift) - 1
    for n in range(0, length, 2 * LANES):
        for e in range(begin, end):
            code = np.int64(events[np.uint64(e)])
            add_to(sums, at + n + (code & low) * LANES, table, start + n + (code >> shift) * LANES)


@part
def _gather_four(
    spikes: Spikes,
    corner: int,
    first: int,
    count: int,
    weights: WeightRows,
    n: int,
    sums: NDArray[Any],
    to: int,
) -> None:
    """Add four vectors of the rows of a window, which stay in registers, to the sums from `to`."""
    table, events = weights.table, spikes.events
    each, length = 4 * LANES // table.itemsize, table.shape[2]
    s0, s1 = load_words(sums, to), load_words(sums, to + each)
    s2, s3 = load_words(sums, to + 2 * each), load_words(sums, to + 3 * each)
    start = n
    for i in range(weights.rows):
        for j in range(weights.columns):
            q = (corner + i * spikes.shape[2] + j) * spikes.steps + first
            for e in range(spikes.bounds[q], spikes.bounds[q + count]):
                row = start + np.int64(events[np.uint64(e)]) * LANES
                s0 = add_words(table, s0, load_words(table, row))
                s1 = add_words(table, s1, load_words(table, row + each))
                s2 = add_words(table, s2, load_words(table, row + 2 * each))
                s3 = add_words(table, s3, load_words(table, row + 3 * each))
            start += table.shape[1] * length
    store(sums, to, s0)
    store(sums, to + each, s1)
    store(sums, to + 2 * each, s2)
    store(sums, to + 3 * each, s3)


@part
def _gather_one(
    spikes: Spikes,
    corner: int,
    first: int,
    count: int,
    weights: WeightRows,
    n: int,
    sums: NDArray[Any],
    to: int,
) -> None:
    """Add one vector of the rows of a window to the sums from `to`."""
    table, total, start = weights.table, load_words(sums, to), n
    for i in range(weights.rows):
        for j in range(weights.columns):
            q = (corner + i * spikes.shape[2] + j) * spikes.steps + first
            for e in range(spikes.bounds[q], spikes.bounds[q + count]):
                row = start + np.int64(spikes.events[np.uint64(e)]) * LANES
                total = add_words(table, total, load_words(table, row))
            start += table.shape[1] * table.shape[2]
    store(sums, to, total)


@compiled
def spiking_layer(
    spikes: Spikes,
    positions: Longs,
    first: int,
    weights: WeightRows,
    neurons: NeuronTable,
    codes: Words,
    states: Words,
    out: Spikes,
) -> None:
    """Run the neurons at positions [P] of a tile for as many steps as `out` has, and fill it.

    These are steps `first`, first + 1, ... of the lists of `spikes`. Potentials are kept in states
    [P, L]; with empty states [0, L] every position starts anew.
    """
    length = len(codes)
    sums = np.zeros((out.steps, weights.sums), weights.table.dtype)
    rows = np.empty((out.steps, length), np.uint8)
    out.bounds[0] = 0
    for p in range(len(positions)):
        sums[:] = 0
        corner = _corner(spikes, weights, positions[p])
        for t in range(out.steps):
            _add_up(spikes, corner, first + t, 1, weights, sums, t * weights.sums)
        if len(states):
            fire(sums, 0, weights.sums, neurons, states, p * length, True, rows)
        else:
            fire(sums, 0, weights.sums, neurons, neurons.cells, 0, False, rows)
        deliver(rows, codes, out, p)


@compiled
def read_out(
    spikes: Spikes, positions: Longs, first: int, count: int, weights: WeightRows, totals: Words
) -> None:
    """Fill `totals` [P, K] with the sums at positions [P] over `count` steps from `first` on."""
    sums = np.zeros(weights.sums, weights.table.dtype)
    for p in range(len(positions)):
        sums[:] = 0
        corner = _corner(spikes, weights, positions[p])
        _add_up(spikes, corner, first, count, weights, sums, 0)
        for k in range(totals.shape[1]):  # numba compiles for seconds on an assignment
            totals[p, k] = sums[k]


@compiled
def window_sums(places: Words, rows: int, columns: int, sums: Words) -> None:
    """Fill `sums` [N, h, w, K] with those of the windows of `places` [N, H, W, K]."""
    samples, height, _, classes = sums.shape
    down = np.empty(places.shape[2] * classes, np.int32)
    for n in range(samples):
        for y in range(height):
            down[:] = 0
            for i in range(rows):
                row = places[n, y + i].ravel()
                for c in range(len(down)):
                    down[c] += row[c]
            own = sums[n, y].ravel()
            own[:] = 0
            for j in range(columns):
                shifted = down[j * classes :]
                for c in range(len(own)):
                    own[c] += shifted[c]


@compiled
def best_classes(sums: Words, multiplier: Words, bias: Words, best: Longs) -> None:
    """Fill `best` [P] with the first largest class of the logits multiplier * sums + bias."""
    for p in range(len(sums)):
        top, largest = 0, sums[p, 0] * multiplier[0] + bias[0]
        for k in range(1, len(bias)):
            logit = sums[p, k] * multiplier[k] + bias[k]
            if logit > largest:
                top, largest = k, logit
        best[p] = top
