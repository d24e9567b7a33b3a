"""Loops over int8 and int32 arrays that numba compiles; nothing here knows about networks.

Every operation on int32 is cast back to int32 at once: numba would widen it to 64 bits, which
halves the lanes of a vector.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import int32
from numpy.typing import NDArray

LEAK_BITS = 15
"""A leak of 1 is 2^15."""
RESETS = {"delayed": 0, "same_step": 1, "zero": 2}

_LOW = (1 << LEAK_BITS) - 1


@numba.njit(nogil=True, cache=True, error_model="numpy")
def gather(
    values: NDArray[np.integer],
    positions: NDArray[np.int64],
    kernel: tuple[int, int],
    step: int,
    windows: NDArray[np.integer],
) -> None:
    """Copy windows of values [T, N, H, W, L] to the rows of a matrix, [T, P, D, h w R].

    A position counts N (H - h + 1) (W - w + 1), row by row, with `kernel` (h, w). Of the L values
    of a place, window d takes the R values from d * step on. Both arrays are contiguous.
    """
    steps, samples, height, width, length = values.shape
    rows, columns = kernel
    across = width - columns + 1
    each = (height - rows + 1) * across
    run = np.uint64(windows.shape[3] // (rows * columns))
    source, target = values.reshape(-1), windows.reshape(-1)
    to = np.uint64(0)  # unsigned, or numba would look for negative indices at every value
    for t in range(steps):
        for p in range(len(positions)):
            sample, place = divmod(positions[p], each)
            y, x = divmod(place, across)
            corner = (((t * samples + sample) * height + y) * width + x) * length
            for d in range(windows.shape[2]):
                for i in range(rows):
                    for j in range(columns):
                        start = np.uint64(corner + (i * width + j) * length + d * step)
                        for k in range(run):
                            target[to + k] = source[start + k]
                        to += run


@numba.njit(nogil=True, cache=True, error_model="numpy")
def split(x: NDArray[np.float32], scale: float, limit: int, halves: NDArray[np.int16]) -> None:
    """Codes of x [P, B], to the nearest, ties to even, and cut off at the limit, as two bytes each.

    A code is 256 high + low, both of them signed, so that the limit is 2^15 - 129 at most. The
    bytes of halves [P, B or more] are low and high.
    """
    scale32, limit32 = np.float32(scale), np.float32(limit)
    for p in range(x.shape[0]):
        for b in range(x.shape[1]):
            nearest = np.rint(x[p, b] * scale32)
            code = int32(min(max(nearest, -limit32), limit32))
            high = int32(int32(code + int32(128)) >> int32(8))
            low = int32(code - int32(high << int32(8)))
            halves[p, b] = np.int16(int32(int32(high << int32(8)) | int32(low & int32(255))))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def join(sums: NDArray[np.int32], outputs: int, wholes: NDArray[np.int32]) -> None:
    """Sums [1, P, 2 L or more], `outputs` of lower, then of upper bytes, to those of codes."""
    for p in range(wholes.shape[1]):
        for group in range(wholes.shape[2] // outputs):
            first = np.uint64(group * outputs)  # see `gather`
            low, high = first + first, first + first + np.uint64(outputs)
            for n in range(np.uint64(outputs)):
                upper = int32(sums[0, p, high + n] << int32(8))
                wholes[0, p, first + n] = int32(upper + sums[0, p, low + n])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def integrate_and_fire(
    sums: NDArray[np.int32],
    factor: NDArray[np.int32],
    bias: NDArray[np.int32],
    threshold: NDArray[np.int32],
    leak: int,
    reset: int,
    potential: NDArray[np.int32],
    spikes: NDArray[np.int8],
    first_place: int,
    first_value: int,
) -> None:
    """Steps of fixed-point neurons: sums [T, P, L or more], or [1, P, L] that repeat, to spikes.

    The spikes of place p and neuron n go to spikes[:, first_place + p, first_value + n]. The state
    `potential` [P, L] is updated; `factor`, `bias` and `threshold` [L] are one a neuron of a place.
    With the current I = factor sum + bias and floor(leak u / 2^15) for the leak, the recurrences
    are those of `snnquant.spiking.lif`; the last spike, which the delayed reset takes off, is told
    by u > V. (The factor is a power of two, but numba would shift 64 bits by a variable.)
    """
    zero, leak32 = int32(0), int32(leak)
    places, length = potential.shape
    target = spikes.reshape(-1)
    for p in range(places):
        for t in range(len(spikes)):
            source = min(t, len(sums) - 1)
            start = (t * spikes.shape[1] + first_place + p) * spikes.shape[2] + first_value
            to = np.uint64(start)  # see `gather`
            for n in range(length):
                u = potential[p, n]
                limit = threshold[n]
                current = int32(int32(sums[source, p, n] * factor[n]) + bias[n])
                if reset == 0:
                    current = int32(current - (limit if u > limit else zero))
                # The leak of two halves of u, so that no product leaves 32 bits.
                high = int32(int32(u >> int32(LEAK_BITS)) * leak32)
                low = int32(int32(int32(u & int32(_LOW)) * leak32) >> int32(LEAK_BITS))
                u = int32(int32(high + low) + current)
                spike = u > limit
                if reset == 1:
                    u = int32(u - (limit if spike else zero))
                elif reset == 2:
                    u = zero if spike else u
                potential[p, n] = u
                target[to + np.uint64(n)] = 1 if spike else 0
