"""A LIF sequence as an autograd function of a forward and a backward that computes it anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnquant.spiking.backends.layout import Order

Given = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Current [T, N, ...], leak, threshold, potential and spikes [N, ...] before the first step."""


def recomputing(
    run: Callable[..., tuple[Tensor, Tensor]],
    run_back: Callable[..., tuple[Tensor, Tensor]],
) -> type[torch.autograd.Function]:
    """`torch_ops.LIFSequence`, argument by argument, that keeps only what it is given.

    `run(*given, reset)` gives the spikes and the last potential; `run_back(given, outer, last,
    gradient, reset, surrogate)` the gradients of leak and threshold. It finds the gradients of the
    spikes in `outer` [T, M] and of the last potential in `last` [M], all in the `Order` of the
    current; it leaves that of the first potential in `last` and fills `gradient` [T, M], that of
    the current.
    """

    class Recomputing(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
            *given, ctx.reset, ctx.surrogate = arguments
            ctx.save_for_backward(*given)
            ctx.set_materialize_grads(False)
            return run(*given, ctx.reset)

        @staticmethod
        @once_differentiable
        def backward(
            ctx: Any, grad_spikes: Tensor | None, grad_u: Tensor | None
        ) -> tuple[Tensor | None, ...]:
            given: Given = ctx.saved_tensors
            current, _, threshold, *_ = given
            order, size = Order(current), (len(current), current[0].numel())
            outer = current.new_zeros(size) if grad_spikes is None else order.steps(grad_spikes)
            last = current.new_zeros(size[1]) if grad_u is None else order.copied(grad_u)
            gradient = torch.empty_like(outer)
            shared = run_back(given, outer, last, gradient, ctx.reset, ctx.surrogate)
            grad_current = order.undone(gradient)
            grad_spikes = None
            if ctx.reset == "delayed" and ctx.needs_input_grad[4]:
                grad_spikes = -threshold * grad_current[0]
            return grad_current, *shared, order.undone(last[None])[0], grad_spikes, None, None

    return Recomputing
