"""The LIF sequence on processors: loops that numba compiles, behind an autograd function.

They compute what `snnquant.spiking.backends.torch_ops` computes, the spikes bit for bit and the
gradients up to rounding, in a tenth of the time, and keep only the current for the backward.

In compiled functions arrays are of one floating dtype and contiguous: `current` [S, M] of all
steps, or [1, M] that repeats, and so `grad_spikes`; `potential` and `before`, the spikes, of the
state before the first step [M], or [1] where all neurons share it, and so the gradient of the last
potential; everything else [T, M] or [M].
Neurons run all their steps a few at a time, in registers. `reset` and `kind` are numbers of
`RESETS` and `SURROGATES`, which refuse all others before anything compiled is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.spiking.backends.autograd import Backend, Given, recomputing
from snnquant.spiking.backends.layout import Order
from snnquant.spiking.backends.threads import in_threads
from snnquant.spiking.backends.vector_types import (
    WIDE,
    add_exactly,
    compiled,
    load_wide,
    magnitude,
    part,
    store_wide,
    where,
    wide,
)
from snnquant.spiking.lif import Reset, unknown_reset
from snnquant.spiking.surrogate import Surrogate

BLOCK = 64 * WIDE
"""Neurons in whole blocks of which threads share the work."""
MIN_SHARED = 2**16
"""Values of a sequence below which a second thread costs more than it saves."""
RESETS = {Reset.DELAYED: 0, Reset.SAME_STEP: 1, Reset.ZERO: 2}
SURROGATES = {"triangle": 0, "arctan": 1, "boxcar": 2}

Floats = NDArray[Any]
Part = TypeVar("Part")


@part
def _state(values: Floats, n: int, count: int) -> Any:
    """Return the state of the neurons from n on."""
    return wide(values, values[0]) if len(values) == 1 else load_wide(values, n, count)


@part
def _integrate(u: Any, current: Any, o: Any, leak: Any, threshold: Any, reset: int) -> Any:
    """Return the potential v that is compared with the threshold."""
    # Multiply, then add: a fused multiply-add would round otherwise than the oracles do.
    v = u * leak + current
    if reset == 0:
        v = v - o * threshold
    return v


@part
def _reset(v: Any, o: Any, threshold: Any, one: Any, reset: int) -> Any:
    """Return the potential u that the next step starts from."""
    if reset == 1:
        v = v - threshold * o
    elif reset == 2:
        v = v * (one - o)
    return v


@compiled
def _forward(
    current: Floats,
    leak: float,
    threshold: float,
    reset: int,
    potential: Floats,
    before: Floats,
    spikes: Floats,
    last: Floats,
    start: int,
    stop: int,
) -> None:
    """Run all steps of the neurons start..stop: fill `spikes` and `last`, the last potential."""
    steps, size = spikes.shape
    hop = size if len(current) > 1 else 0
    decay, limit = wide(current, leak), wide(current, threshold)
    zero, one = wide(current, 0), wide(current, 1)
    for n in range(start, stop, WIDE):
        count = stop - n
        u, o = _state(potential, n, count), _state(before, n, count)
        for t in range(steps):
            v = _integrate(u, load_wide(current, t * hop + n, count), o, decay, limit, reset)
            o = where(v > limit, one, zero)
            store_wide(spikes, t * size + n, o, count)
            u = _reset(v, o, limit, one, reset)
        store_wide(last, n, u, count)


@part
def _surrogate(z: Any, kind: int, zero: Any, one: Any, width: Any, per_width: Any) -> Any:
    """Return the surrogate at the distance z from the threshold, of height 1."""
    if kind == 0:
        shape = one - z * per_width
        shape = where(shape > zero, shape, zero)
    elif kind == 1:
        z = z * per_width
        shape = one / (one + z * z)
    else:
        shape = where(width > z, one, zero)
    return shape


@compiled
def _backward(
    current: Floats,
    leak: float,
    threshold: float,
    reset: int,
    potential: Floats,
    before: Floats,
    kind: int,
    scale: float,
    width: float,
    grad_spikes: Floats,
    grad_last: Floats,
    grad_current: Floats,
    grad_potential: Floats,
    start: int,
    stop: int,
) -> tuple[float, float]:
    """Compute the gradients of leak and threshold by the neurons start..stop.

    The last two arrays are filled, `grad_potential` unless it is empty. Potentials are
    recomputed, which is faster than reading stored ones.
    """
    steps, size = grad_current.shape
    hop = size if len(current) > 1 else 0
    grad_hop = size if len(grad_spikes) > 1 else 0
    decay, limit = wide(current, leak), wide(current, threshold)
    zero, one = wide(current, 0), wide(current, 1)
    inverse, height = one / limit, wide(current, scale / threshold)
    half, per_half = wide(current, width), wide(current, 1 / width)
    potentials = np.empty((2, steps * WIDE), current.dtype)
    v_pre, u_before = potentials[0], potentials[1]
    sums = np.zeros((2, WIDE))
    by_leak, by_threshold = load_wide(sums[0], 0, WIDE), load_wide(sums[1], 0, WIDE)
    for n in range(start, stop, WIDE):
        count = stop - n
        u, first = _state(potential, n, count), _state(before, n, count)
        o = first
        for t in range(steps):
            store_wide(u_before, t * WIDE, u, WIDE)
            v = _integrate(u, load_wide(current, t * hop + n, count), o, decay, limit, reset)
            store_wide(v_pre, t * WIDE, v, WIDE)
            o = where(v > limit, one, zero)
            u = _reset(v, o, limit, one, reset)
        g, grad_v = _state(grad_last, n, count), zero
        leaks, thresholds = zero, zero
        for t in range(steps - 1, -1, -1):
            v, u = load_wide(v_pre, t * WIDE, WIDE), load_wide(u_before, t * WIDE, WIDE)
            o = where(v > limit, one, zero)
            grad_o = load_wide(grad_spikes, t * grad_hop + n, count)
            if reset == 0:
                grad_o = grad_o - limit * grad_v
                thresholds = thresholds - grad_v * o
            elif reset == 1:
                grad_o = grad_o - limit * g
                thresholds = thresholds - g * o
            else:
                grad_o = grad_o - v * g
                g = g * (one - o)
            away = v - limit
            # A quotient takes a quarter of the loop's time; only edges need one that is exact.
            z = magnitude(away / limit if kind == 2 else away * inverse)
            by_spike = grad_o * (height * _surrogate(z, kind, zero, one, half, per_half))
            thresholds = thresholds - by_spike * v * inverse
            grad_v = g + by_spike
            leaks = leaks + grad_v * u
            store_wide(grad_current, t * size + n, grad_v, count)
            g = grad_v * decay
        if reset == 0:
            thresholds = thresholds - grad_v * first
        if len(grad_potential):
            store_wide(grad_potential, n, g, count)
        # The steps of a neuron are summed in the dtype of the potentials, neurons in float64.
        by_leak, by_threshold = add_exactly(by_leak, leaks), add_exactly(by_threshold, thresholds)
    store_wide(sums[0], 0, by_leak, WIDE)
    store_wide(sums[1], 0, by_threshold, WIDE)
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
    fired = current.new_empty(len(current), order.size)
    last = current.new_empty(order.size)
    state = (order.shared(x).numpy() for x in (potential, spikes))
    arrays = (*state, fired.numpy(), last.numpy())
    source = order.source(current).numpy()
    forward: Any = _forward
    _share(lambda *part: forward(source, *fixed, *arrays, *part), fired)
    return order.restore(fired), order.restore_state(last)


def run_back(
    given: Given,
    grads: tuple[Tensor, Tensor],
    filled: tuple[Tensor, Tensor],
    reset: Reset,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of leak and threshold; see `recomputing`."""
    current, leak, threshold, *state = given
    order = Order(current)
    arrays = [order.shared(x).numpy() for x in state]
    fixed = (leak.item(), threshold.item(), _code(reset), *arrays)
    shape = (SURROGATES[surrogate.kind], surrogate.scale, surrogate.width)
    flows = [x.numpy() for x in (*grads, *filled)]
    source = order.source(current).numpy()
    backward: Any = _backward
    sums = _share(lambda *part: backward(source, *fixed, *shape, *flows, *part), filled[0])
    grad_leak, grad_threshold = (leak.new_full((), sum(terms)) for terms in zip(*sums, strict=True))
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
