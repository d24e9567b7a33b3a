"""Neurons of layers of any wiring, as a loop that numba compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.inference.integer.kernels import LEAK_BITS, RESETS, Longs
from snnquant.inference.integer.vectors import compiled

_DELAYED, _SAME_STEP, _ZERO = RESETS.values()


@compiled
def fire_values(
    sums: NDArray[Any], cells: Longs, leak: int, reset: int, bits: int, spikes: NDArray[np.float32]
) -> None:
    """Fill spikes [T, A, C, S] of neurons C by the recurrences of `fire`, one after another.

    Sums [T or 1, A, C, S] are whole numbers in floating point; cells are [5, C].
    """
    largest = (1 << (bits - 1)) - 1
    for a in range(spikes.shape[1]):
        for c in range(spikes.shape[2]):
            start, threshold, shift = cells[0, c], cells[1, c], cells[2, c]
            bias, rounding = cells[3, c], cells[4, c]
            for s in range(spikes.shape[3]):
                u, spike = start, False
                for t in range(spikes.shape[0]):
                    total = np.int64(sums[min(t, sums.shape[0] - 1), a, c, s])
                    u = (u * leak >> LEAK_BITS) + ((total << shift) + bias >> rounding)
                    if spike and reset == _DELAYED:
                        u -= threshold
                    if bits < 32:
                        u = max(min(u, largest), -largest - 1)
                    spike = u > threshold
                    spikes[t, a, c, s] = spike
                    if spike and reset == _SAME_STEP:
                        u -= threshold
                    elif spike and reset == _ZERO:
                        u = 0
