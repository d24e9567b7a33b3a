"""A LIF sequence as an autograd function of a forward and a backward that recomputes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnquant.spiking.backends.layout import Order
from snnquant.spiking.lif import Reset

Given = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Current [T, N, ...], leak, threshold, potential and spikes [N, ...] before the first step."""


class Backend(NamedTuple):
    """Two functions that compute a LIF sequence, the spikes bit for bit the same in all backends.

    Both take (current [T, N, ...], leak, threshold, potential, spikes, reset), of one dtype, the
    first a surrogate too, and return the spikes [T, N, ...] and the last potential [N, ...].
    Potential and spikes are the state before the first step, [N, ...]. Both raise `InputError` for
    a reset that they do not compute.
    """

    sequence: Any
    """A `torch.autograd.Function`."""
    without_gradient: Callable[..., tuple[Tensor, Tensor]]


def recomputing(
    run: Callable[..., tuple[Tensor, Tensor]],
    run_back: Callable[..., tuple[Tensor, Tensor]],
) -> type[torch.autograd.Function]:
    """Return a `Backend.sequence` that keeps only its arguments for the backward.

    `run(*given, reset)` returns the spikes and the last potential; `run_back(given, grad_out, last,
    gradient, reset, surrogate)` the gradients of leak and threshold. The latter reads the gradients
    of the spikes in `grad_out` [T, M] and of the last potential in `last` [M], all in the `Order`
    of the current; it leaves that of the first potential in `last` and fills `gradient` [T, M],
    that of the current.
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
            grad_out = current.new_zeros(size) if grad_spikes is None else order.steps(grad_spikes)
            last = current.new_zeros(size[1]) if grad_u is None else order.copied(grad_u)
            gradient = torch.empty_like(grad_out)
            shared = run_back(given, grad_out, last, gradient, ctx.reset, ctx.surrogate)
            grad_current = order.restore(gradient)
            grad_spikes = None
            # Of the resets that `run_back` takes, only this one reads the spikes of the state.
            if ctx.reset == Reset.DELAYED and ctx.needs_input_grad[4]:
                grad_spikes = -threshold * grad_current[0]
            return grad_current, *shared, order.restore(last[None])[0], grad_spikes, None, None

    return Recomputing
