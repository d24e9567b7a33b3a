"""The neuron's recurrence and its gradient as loops that numba compiles, a pass over memory each.

Arrays are of one floating dtype and contiguous: `current` [S, M] of all steps, or [1, M] that
repeats, `potential` and `spikes` of the state before the first step [M], or [1] where all neurons
share it, everything else [T, M] or [M]. Blocks of neurons, small enough for a core's cache, take
all their steps at once. What is computed and why: `snnquant.spiking.backends.torch_ops`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

BLOCK = 2000
"""Neurons that are taken through all steps at once; not a power of two, which caches dislike."""
RESETS = {"delayed": 0, "same_step": 1, "zero": 2}
SURROGATES = {"triangle": 0, "arctan": 1, "boxcar": 2}

Floats = NDArray[Any]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _meet(
    u: Floats, current: Floats, o: Floats, leak: float, threshold: float, reset: int, v: Floats
) -> None:
    """Potential v that meets the threshold."""
    for n in range(len(v)):
        x = u[n] * leak + current[n]
        if reset == 0:
            x -= o[n] * threshold
        v[n] = x


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _hand_on(v: Floats, threshold: float, reset: int, u: Floats, o: Floats) -> None:
    """Spikes o, and the potential u that the next step starts from."""
    zero, one = v.dtype.type(0), v.dtype.type(1)
    for n in range(len(v)):
        x = v[n]
        spike = one if x > threshold else zero
        o[n] = spike
        if reset == 1:
            x -= threshold * spike
        elif reset == 2:
            x *= one - spike
        u[n] = x


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _begin(state: Floats, first: int, target: Floats) -> None:
    """The state of the neurons from `first` on, as many as there are in `target`."""
    for n in range(len(target)):
        target[n] = state[0] if len(state) == 1 else state[first + n]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def run(
    current: Floats,
    leak: float,
    threshold: float,
    reset: int,
    u: Floats,
    o: Floats,
    spikes: Floats,
    start: int,
    stop: int,
) -> None:
    """All steps of the neurons start..stop: `spikes` is filled, u goes from the first to the last.

    o holds the spikes before the first step.
    """
    number = current.dtype.type
    leak, threshold = number(leak), number(threshold)
    met, fired = np.empty(BLOCK, current.dtype), np.empty(BLOCK, current.dtype)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        v, before = met[: last - first], fired[: last - first]
        _begin(o, first, before)
        for t in range(len(spikes)):
            source = current[min(t, len(current) - 1), first:last]
            _meet(u[first:last], source, before, leak, threshold, reset, v)
            before = spikes[t, first:last]
            _hand_on(v, threshold, reset, u[first:last], before)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _surrogate(
    v: Floats, threshold: float, kind: int, scale: float, width: float, out: Floats
) -> None:
    """Derivative of the spike by the potential v."""
    number = v.dtype.type
    zero, one, height = number(0), number(1), number(scale / threshold)
    half, per_half = number(width), number(1 / width)
    for n in range(len(v)):
        z = abs((v[n] - threshold) / threshold)
        if kind == 0:
            shape = max(one - z * per_half, zero)
        elif kind == 1:
            z *= per_half
            shape = one / (one + z * z)
        else:
            shape = one if z < half else zero
        out[n] = height * shape


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _step_back(
    v: Floats,
    u: Floats,
    slope: Floats,
    grad_spikes: Floats,
    leak: float,
    threshold: float,
    reset: int,
    grad_v: Floats,
    grad_u: Floats,
    leaks: Floats,
    thresholds: Floats,
) -> None:
    """Gradients of a step from those of the step after; adds to those of leak and threshold."""
    zero, one = v.dtype.type(0), v.dtype.type(1)
    inverse = one / threshold
    for n in range(len(v)):
        x, g = v[n], grad_u[n]
        o = one if x > threshold else zero
        if reset == 0:
            grad_o = grad_spikes[n] - threshold * grad_v[n]
            by_reset = grad_v[n] * o
        elif reset == 1:
            grad_o = grad_spikes[n] - threshold * g
            by_reset = g * o
        else:
            grad_o = grad_spikes[n] - x * g
            by_reset = zero
            g *= one - o
        by_spike = grad_o * slope[n]
        g += by_spike
        leaks[n] += g * u[n]
        thresholds[n] -= by_reset + by_spike * x * inverse
        grad_v[n] = g
        grad_u[n] = g * leak


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _copy(source: Floats, target: Floats) -> None:
    """What numba's own assignment of slices does, in a third of the time."""
    for n in range(len(target)):
        target[n] = source[n]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add(source: Floats, target: Floats) -> None:
    for n in range(len(target)):
        target[n] += source[n]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def run_back(
    current: Floats,
    leak: float,
    threshold: float,
    reset: int,
    potential: Floats,
    spikes: Floats,
    kind: int,
    scale: float,
    width: float,
    grad_spikes: Floats,
    grad_u: Floats,
    grad_current: Floats,
    start: int,
    stop: int,
) -> tuple[float, float]:
    """Gradients of leak and threshold by the neurons start..stop.

    `grad_u` goes from the gradient of the last potential to that of the first; `grad_current`
    [T, M] is filled. Potentials are computed anew: that is faster than to have kept them.
    """
    number, steps = current.dtype.type, len(grad_spikes)
    leak, threshold = number(leak), number(threshold)
    met = np.empty((steps, BLOCK), current.dtype)
    handed = np.empty((steps + 1, BLOCK), current.dtype)
    fired = np.empty(BLOCK, current.dtype)
    scratch = np.empty((3, BLOCK), current.dtype)
    zeros, sums = np.zeros(BLOCK, current.dtype), np.zeros((2, BLOCK))
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        size = last - first
        spiked, before = fired[:size], fired[:size]
        _begin(spikes, first, spiked)
        _begin(potential, first, handed[0, :size])
        for t in range(steps):
            source, v = current[min(t, len(current) - 1), first:last], met[t, :size]
            _meet(handed[t, :size], source, before, leak, threshold, reset, v)
            before = scratch[0, :size]
            _hand_on(v, threshold, reset, handed[t + 1, :size], before)
        slope, grad_v, g_u = scratch[1, :size], scratch[2, :size], grad_u[first:last]
        _copy(zeros[:size], grad_v)
        # The steps of a block are summed in the dtype of the potentials, blocks in float64.
        terms = np.zeros((2, size), current.dtype)
        for t in range(steps - 1, -1, -1):
            v, u, outer = met[t, :size], handed[t, :size], grad_spikes[t, first:last]
            _surrogate(v, threshold, kind, scale, width, slope)
            _step_back(v, u, slope, outer, leak, threshold, reset, grad_v, g_u, terms[0], terms[1])
            _copy(grad_v, grad_current[t, first:last])
        if reset == 0:
            by_reset = terms[1]
            for n in range(size):
                by_reset[n] -= grad_v[n] * spiked[n]
        _add(terms[0], sums[0, :size])
        _add(terms[1], sums[1, :size])
    return sums[0].sum(), sums[1].sum()
