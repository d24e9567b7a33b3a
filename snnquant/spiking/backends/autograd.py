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
"""Current [T, N, ...], leak, threshold, potential and spikes before the first step."""


class Backend(NamedTuple):
    """Two functions that compute a LIF sequence, the spikes bit for bit the same in all backends.

    Both take (current [T, N, ...], leak, threshold, potential, spikes, reset), of one dtype, the
    first a surrogate too, and return the spikes [T, N, ...] and the last potential [N, ...].
    Potential and spikes are the state before the first step, each [N, ...] or a scalar that all
    neurons share. Both raise `InputError` for a reset that they do not compute.
    """

    sequence: Any
    """A `torch.autograd.Function`."""
    without_gradient: Callable[..., tuple[Tensor, Tensor]]


def recomputing(
    run: Callable[..., tuple[Tensor, Tensor]],
    run_back: Callable[..., tuple[Tensor, Tensor]],
) -> type[torch.autograd.Function]:
    """Return a `Backend.sequence` that keeps only its arguments for the backward.

    `run(*given, reset)` returns the spikes and the last potential; `run_back(given, grads, filled,
    reset, surrogate)` the gradients of leak and threshold, all arrays in the `Order` of the
    current. It reads `grads`, those of the spikes [T, M], or [1, M] where they repeat, and of the
    last potential [M], or [1] where it is 0; it fills those of the current [T, M] and of the first
    potential [M], or [0] where nobody asks for it.
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
            current, _, threshold, potential, spikes = given
            order = Order(current)
            if grad_spikes is None:
                grad_spikes = current.new_zeros(()).expand_as(current)
            last = current.new_zeros(1) if grad_u is None else order.state(grad_u)
            grad_current = current.new_empty(len(current), order.size)
            first = current.new_empty(order.size if ctx.needs_input_grad[3] else 0)
            grads, filled = (order.source(grad_spikes), last), (grad_current, first)
            shared = run_back(given, grads, filled, ctx.reset, ctx.surrogate)
            grad_current = order.restore(grad_current)
            grad_potential = grad_fired = None
            if ctx.needs_input_grad[3]:
                grad_potential = order.restore_state(first) if potential.ndim else first.sum()
            # Of the resets that `run_back` takes, only this one reads the spikes of the state.
            if ctx.needs_input_grad[4] and ctx.reset == Reset.DELAYED:
                grad_fired = (-threshold * grad_current[0]).sum_to_size(spikes.shape)
            return grad_current, *shared, grad_potential, grad_fired, None, None

    return Recomputing
