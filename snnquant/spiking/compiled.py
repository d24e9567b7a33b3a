"""The fused LIF sequence on processors: `snnquant.spiking.loops` behind an autograd function.

It computes what `snnquant.spiking.fused` computes, the spikes bit for bit and the gradients up to
rounding, in a quarter of the time, and keeps nothing but the current for its backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnquant.spiking import loops
from snnquant.spiking.order import Order
from snnquant.spiking.surrogate import Surrogate
from snnquant.spiking.threads import in_threads

Part = TypeVar("Part")
ENOUGH = 2**16
"""Values of a sequence below which a second thread costs more than it saves."""


class CompiledSequence(torch.autograd.Function):
    """`snnquant.spiking.fused.LIFSequence`, argument by argument, for tensors in memory."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        leak: Tensor,
        threshold: Tensor,
        potential: Tensor,
        spikes: Tensor,
        reset: str,
        surrogate: Surrogate,
    ) -> tuple[Tensor, Tensor]:
        """Run the recurrence; see `LIFSequence` for the arguments."""
        ctx.save_for_backward(current, leak, threshold, potential, spikes)
        ctx.reset, ctx.surrogate = reset, surrogate
        ctx.set_materialize_grads(False)
        return run(current, leak, threshold, potential, spikes, reset)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_spikes: Tensor | None, grad_u: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Gradients of the five tensors, of those of the spikes and of the last potential."""
        current, leak, threshold, potential, spikes = ctx.saved_tensors
        order = Order(current)
        size = (len(current), current[0].numel())
        outer = current.new_zeros(size) if grad_spikes is None else order.steps(grad_spikes)
        last = current.new_zeros(size[1]) if grad_u is None else order.copied(grad_u)
        gradient = torch.empty_like(outer)
        arrays = [order.shared(t).numpy() for t in (potential, spikes)]
        fixed = (leak.item(), threshold.item(), loops.RESETS[ctx.reset], *arrays)
        surrogate = ctx.surrogate
        shape = (loops.SURROGATES[surrogate.kind], surrogate.scale, surrogate.width)
        flows = [outer.numpy(), last.numpy(), gradient.numpy()]
        source = order.source(current).numpy()
        run_back: Any = loops.run_back
        sums = _share(lambda *part: run_back(source, *fixed, *shape, *flows, *part), gradient)
        grad_leak, grad_threshold = (
            leak.new_tensor(sum(terms)) for terms in zip(*sums, strict=True)
        )
        grad_current = order.undone(gradient)
        grad_initial_spikes = None
        if ctx.reset == "delayed" and ctx.needs_input_grad[4]:
            grad_initial_spikes = -threshold * grad_current[0]
        grad_potential = order.undone(last[None])[0]
        return (
            *(grad_current, grad_leak, grad_threshold, grad_potential, grad_initial_spikes),
            *(None, None),
        )


def run(
    current: Tensor, leak: Tensor, threshold: Tensor, potential: Tensor, spikes: Tensor, reset: str
) -> tuple[Tensor, Tensor]:
    """Spikes [T, N, ...] and the last potential [N, ...]."""
    order = Order(current)
    u = order.copied(potential)
    fired = current.new_empty(len(current), len(u))
    fixed = (leak.item(), threshold.item(), loops.RESETS[reset])
    arrays = (u.numpy(), order.shared(spikes).numpy(), fired.numpy())
    source = order.source(current).numpy()
    _share(lambda *part: loops.run(source, *fixed, *arrays, *part), fired)
    return order.undone(fired), order.undone(u[None])[0]


def _share(work: Callable[[int, int], Part], values: Tensor) -> list[Part]:
    """Work on the neurons start..stop of values [T, M], a share for each of torch's threads."""
    neurons, threads = values.shape[1], torch.get_num_threads()
    if threads == 1 or values.numel() < ENOUGH:
        return [work(0, neurons)]
    blocks = -(-neurons // loops.BLOCK)
    cuts = [min(neurons, blocks * i // threads * loops.BLOCK) for i in range(threads + 1)]
    return in_threads(lambda i: work(cuts[i], cuts[i + 1]), threads)
