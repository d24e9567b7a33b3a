"""The LIF sequence on processors: loops that numba compiles, behind an autograd function.

They compute what `snnquant.spiking.backends.torch_ops` computes, the spikes bit for bit and the
gradients up to rounding, in a quarter of the time, and keep only the current for the backward.

In compiled functions arrays are of one floating dtype and contiguous: `current` [S, M] of all
steps, or [1, M] that repeats, `potential` and `spikes` of the state before the first step [M], or
[1] where all neurons share it, everything else [T, M] or [M]. Blocks of neurons, small enough for a
core's cache, run all their steps at once, in one pass over memory. `reset` and `kind` are numbers
of `RESETS` and `SURROGATES`, which refuse all others before anything compiled is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.spiking.backends.autograd import Backend, Given, recomputing
from snnquant.spiking.backends.layout import Order
from snnquant.spiking.backends.threads import in_threads
from snnquant.spiking.lif import Reset, unknown_reset
from snnquant.spiking.surrogate import Surrogate

BLOCK = 2000
"""Neurons that run all steps at once; not a power of two, which caches dislike."""
MIN_SHARED = 2**16
"""Values of a sequence below which a second thread costs more than it saves."""
RESETS = {Reset.DELAYED: 0, Reset.SAME_STEP: 1, Reset.ZERO: 2}
SURROGATES = {"triangle": 0, "arctan": 1, "boxcar": 2}

Floats = NDArray[Any]
Part = TypeVar("Part")


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _integrate(
    u: Floats, current: Floats, o: Floats, leak: float, threshold: float, reset: int, v: Floats
) -> None:
    """Compute the potential v that is compared with the threshold."""
    for n in range(len(v)):
        x = u[n] * leak + current[n]
        if reset == 0:
            x -= o[n] * threshold
        v[n] = x


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _reset(v: Floats, threshold: float, reset: int, u: Floats, o: Floats) -> None:
    """Compute the spikes o, and the potential u that the next step starts from."""
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
    """Copy the state of the neurons from `first` on into `target`, as many as it holds."""
    for n in range(len(target)):
        target[n] = state[0] if len(state) == 1 else state[first + n]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _forward(
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
    """Run all steps of the neurons start..stop: fill `spikes`, move u from the first to the last.

    o holds the spikes before the first step.
    """
    number = current.dtype.type
    leak, threshold = number(leak), number(threshold)
    v_pre, fired = np.empty(BLOCK, current.dtype), np.empty(BLOCK, current.dtype)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        v, before = v_pre[: last - first], fired[: last - first]
        _begin(o, first, before)
        for t in range(len(spikes)):
            source = current[min(t, len(current) - 1), first:last]
            _integrate(u[first:last], source, before, leak, threshold, reset, v)
            before = spikes[t, first:last]
            _reset(v, threshold, reset, u[first:last], before)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _surrogate(
    v: Floats, threshold: float, kind: int, scale: float, width: float, out: Floats
) -> None:
    """Compute the derivative of the spike by the potential v."""
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
    """Compute a step's gradients from the next step's; add to those of leak and threshold."""
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
    """Assign a slice in a third of the time that numba's own assignment takes."""
    for n in range(len(target)):
        target[n] = source[n]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add(source: Floats, target: Floats) -> None:
    for n in range(len(target)):
        target[n] += source[n]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _backward(
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
    """Compute the gradients of leak and threshold by the neurons start..stop.

    `grad_u` goes from the gradient of the last potential to that of the first; `grad_current`
    [T, M] is filled. Potentials are recomputed, which is faster than reading stored ones.
    """
    number, steps = current.dtype.type, len(grad_spikes)
    leak, threshold = number(leak), number(threshold)
    v_pre = np.empty((steps, BLOCK), current.dtype)
    u_post = np.empty((steps + 1, BLOCK), current.dtype)
    fired = np.empty(BLOCK, current.dtype)
    scratch = np.empty((3, BLOCK), current.dtype)
    zeros, sums = np.zeros(BLOCK, current.dtype), np.zeros((2, BLOCK))
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        size = last - first
        spiked, before = fired[:size], fired[:size]
        _begin(spikes, first, spiked)
        _begin(potential, first, u_post[0, :size])
        for t in range(steps):
            source, v = current[min(t, len(current) - 1), first:last], v_pre[t, :size]
            _integrate(u_post[t, :size], source, before, leak, threshold, reset, v)
            before = scratch[0, :size]
            _reset(v, threshold, reset, u_post[t + 1, :size], before)
        slope, grad_v, g_u = scratch[1, :size], scratch[2, :size], grad_u[first:last]
        _copy(zeros[:size], grad_v)
        # The steps of a block are summed in the dtype of the potentials, blocks in float64.
        terms = np.zeros((2, size), current.dtype)
        for t in range(steps - 1, -1, -1):
            v, u, grad_out = v_pre[t, :size], u_post[t, :size], grad_spikes[t, first:last]
            _surrogate(v, threshold, kind, scale, width, slope)
            own = (v, u, slope, grad_out)
            _step_back(*own, leak, threshold, reset, grad_v, g_u, terms[0], terms[1])
            _copy(grad_v, grad_current[t, first:last])
        if reset == 0:
            by_reset = terms[1]
            for n in range(size):
                by_reset[n] -= grad_v[n] * spiked[n]
        _add(terms[0], sums[0, :size])
        _add(terms[1], sums[1, :size])
    return sums[0].sum(), sums[1].sum()


def run(
    current: Tensor,
    leak: Tensor,
    threshold: Tensor,
    potential: Tensor,
    spikes: Tensor,
    reset: Reset,
) -> tuple[Tensor, Tensor]:
    """Return the spikes [T, N, ...] and the last potential [N, ...]."""
    fixed = (leak.item(), threshold.item(), _code(reset))
    order = Order(current)
    u = order.copied(potential)
    fired = current.new_empty(len(current), len(u))
    arrays = (u.numpy(), order.shared(spikes).numpy(), fired.numpy())
    source = order.source(current).numpy()
    _share(lambda *part: _forward(source, *fixed, *arrays, *part), fired)
    return order.restore(fired), order.restore(u[None])[0]


def run_back(
    given: Given,
    grad_out: Tensor,
    last: Tensor,
    gradient: Tensor,
    reset: Reset,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of leak and threshold; see `recomputing`."""
    current, leak, threshold, *state = given
    order = Order(current)
    arrays = [order.shared(x).numpy() for x in state]
    fixed = (leak.item(), threshold.item(), _code(reset), *arrays)
    shape = (SURROGATES[surrogate.kind], surrogate.scale, surrogate.width)
    flows = [grad_out.numpy(), last.numpy(), gradient.numpy()]
    source = order.source(current).numpy()
    backward: Any = _backward
    sums = _share(lambda *part: backward(source, *fixed, *shape, *flows, *part), gradient)
    grad_leak, grad_threshold = (leak.new_tensor(sum(terms)) for terms in zip(*sums, strict=True))
    return grad_leak, grad_threshold


def _code(reset: Reset) -> int:
    if reset not in RESETS:
        raise unknown_reset(reset, "numba loops", tuple(RESETS))
    return RESETS[reset]


def _share(work: Callable[[int, int], Part], values: Tensor) -> list[Part]:
    """Work on the neurons start..stop of values [T, M], a share for each of torch's threads."""
    neurons, threads = values.shape[1], torch.get_num_threads()
    if threads == 1 or values.numel() < MIN_SHARED:
        return [work(0, neurons)]
    blocks = -(-neurons // BLOCK)
    cuts = [min(neurons, blocks * i // threads * BLOCK) for i in range(threads + 1)]
    return in_threads(lambda i: work(cuts[i], cuts[i + 1]), threads)


BACKEND = Backend(recomputing(run, run_back), run)
