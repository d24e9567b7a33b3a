"""The fused LIF sequence on processors: `numba_loops` behind an autograd function.

It computes what `torch_ops` computes, the spikes bit for bit and the gradients up to rounding, in
a quarter of the time, and keeps nothing but the current for its backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from snnquant.spiking.backends import numba_loops
from snnquant.spiking.backends.autograd import Given, recomputing
from snnquant.spiking.backends.layout import Order
from snnquant.spiking.backends.threads import in_threads
from snnquant.spiking.surrogate import Surrogate

Part = TypeVar("Part")
ENOUGH = 2**16
"""Values of a sequence below which a second thread costs more than it saves."""


def run(
    current: Tensor, leak: Tensor, threshold: Tensor, potential: Tensor, spikes: Tensor, reset: str
) -> tuple[Tensor, Tensor]:
    """Spikes [T, N, ...] and the last potential [N, ...]."""
    order = Order(current)
    u = order.copied(potential)
    fired = current.new_empty(len(current), len(u))
    fixed = (leak.item(), threshold.item(), numba_loops.RESETS[reset])
    arrays = (u.numpy(), order.shared(spikes).numpy(), fired.numpy())
    source = order.source(current).numpy()
    _share(lambda *part: numba_loops.run(source, *fixed, *arrays, *part), fired)
    return order.undone(fired), order.undone(u[None])[0]


def _run_back(
    given: Given, outer: Tensor, last: Tensor, gradient: Tensor, reset: str, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    """Gradients of leak and threshold; see `recomputing`."""
    current, leak, threshold, *state = given
    order = Order(current)
    arrays = [order.shared(x).numpy() for x in state]
    fixed = (leak.item(), threshold.item(), numba_loops.RESETS[reset], *arrays)
    shape = (numba_loops.SURROGATES[surrogate.kind], surrogate.scale, surrogate.width)
    flows = [outer.numpy(), last.numpy(), gradient.numpy()]
    source = order.source(current).numpy()
    run_back: Any = numba_loops.run_back
    sums = _share(lambda *part: run_back(source, *fixed, *shape, *flows, *part), gradient)
    grad_leak, grad_threshold = (leak.new_tensor(sum(terms)) for terms in zip(*sums, strict=True))
    return grad_leak, grad_threshold


def _share(work: Callable[[int, int], Part], values: Tensor) -> list[Part]:
    """Work on the neurons start..stop of values [T, M], a share for each of torch's threads."""
    neurons, threads = values.shape[1], torch.get_num_threads()
    if threads == 1 or values.numel() < ENOUGH:
        return [work(0, neurons)]
    blocks = -(-neurons // numba_loops.BLOCK)
    cuts = [min(neurons, blocks * i // threads * numba_loops.BLOCK) for i in range(threads + 1)]
    return in_threads(lambda i: work(cuts[i], cuts[i + 1]), threads)


CompiledSequence = recomputing(run, _run_back)
"""`torch_ops.LIFSequence`, argument by argument, for tensors in memory."""
