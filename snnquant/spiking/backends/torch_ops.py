r"""All time steps of a LIF layer as one autograd function, with its backward written by hand.

It computes what a loop over `snnquant.spiking.lif.lif_step` under autograd computes, without a
graph of some ten nodes per step: in place, keeping only potentials and spikes.

Backward, from the last step to the first, with :math:`v[t]` the potential that meets the
threshold, :math:`u[t]` the one that the next step starts from, :math:`g_x` the gradient of
:math:`x`, :math:`\bar g` the gradient of the spikes from outside, and :math:`\sigma` the surrogate
at :math:`z[t] = v[t]/V - 1`:

.. math::
    g_u[t] &= \lambda\, g_v[t+1] \\
    g_o[t] &= \bar g[t] - \{V g_v[t+1],\; V g_u[t],\; v[t] g_u[t]\}
        \quad\text{for delayed, same_step, zero} \\
    g_v[t] &= g_u[t]\, \{1,\; 1,\; 1 - o[t]\} + g_o[t]\, \sigma / V \\
    g_I[t] &= g_v[t], \qquad g_\lambda = \sum_t g_v[t]\, u[t-1] \\
    g_V &= -\sum_t g_o[t]\, \sigma\, v[t] / V^2
        - \sum_t \{g_v[t]\, o[t-1],\; g_u[t]\, o[t],\; 0\}
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnquant.spiking.backends.autograd import Backend
from snnquant.spiking.lif import Reset, unknown_reset
from snnquant.spiking.surrogate import Surrogate


class LIFSequence(torch.autograd.Function):
    """The `Backend.sequence` of torch operations, for every dtype and device."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        leak: Tensor,
        threshold: Tensor,
        potential: Tensor,
        spikes: Tensor,
        reset: Reset,
        surrogate: Surrogate,
    ) -> tuple[Tensor, Tensor]:
        """Run the recurrence; see `Backend` for the arguments."""
        all_v = torch.empty(current.shape, dtype=current.dtype, device=current.device)
        all_spikes = torch.empty_like(all_v)
        u, o = (x.expand_as(current[0]) for x in (potential, spikes))
        for t in range(len(current)):
            # Multiply, then add: a fused multiply-add would round otherwise than the oracles do.
            v = torch.mul(u, leak, out=all_v[t]).add_(current[t])
            if reset is Reset.DELAYED:
                v.addcmul_(o, threshold, value=-1)
            o = torch.gt(v, threshold, out=all_spikes[t])
            u = after_reset(v, o, threshold, reset)
        ctx.save_for_backward(all_v, all_spikes, leak, threshold, potential, spikes)
        ctx.reset, ctx.surrogate = reset, surrogate
        return all_spikes, u

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spikes: Tensor, grad_u: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the five tensors, of those of spikes and last potential."""
        all_v, all_spikes, leak, threshold, potential, spikes = ctx.saved_tensors
        reset = ctx.reset
        grad_current = torch.empty_like(all_v)
        grad_leak, grad_threshold = torch.zeros_like(leak), torch.zeros_like(threshold)
        grad_v = torch.zeros_like(all_v[0])  # of the step after; none follows the last
        for t in reversed(range(len(all_v))):
            v, o = all_v[t], all_spikes[t]
            if reset is Reset.DELAYED:
                grad_o = torch.addcmul(grad_spikes[t], grad_v, threshold, value=-1)
                grad_threshold -= _inner(grad_v, o)
            elif reset is Reset.SAME_STEP:
                grad_o = torch.addcmul(grad_spikes[t], grad_u, threshold, value=-1)
                grad_threshold -= _inner(grad_u, o)
            elif reset is Reset.ZERO:
                grad_o = torch.addcmul(grad_spikes[t], grad_u, v, value=-1)
                grad_u = grad_u * (1 - o)
            else:
                raise unknown_reset(reset, "torch operations")
            grad_z = ctx.surrogate.derivative((v - threshold).div_(threshold)).mul_(grad_o)
            grad_threshold -= _inner(grad_z, v) / threshold**2
            grad_v = torch.add(grad_u, grad_z.div_(threshold), out=grad_current[t])
            u_before = potential
            if t:
                u_before = after_reset(all_v[t - 1], all_spikes[t - 1], threshold, reset)
            grad_leak += _inner(grad_v, u_before)
            grad_u = grad_v * leak
        grad_initial_spikes = None
        if reset is Reset.DELAYED:
            grad_threshold -= _inner(grad_v, spikes)
            grad_initial_spikes = (-threshold * grad_v).sum_to_size(spikes.shape)
        grad_potential = grad_u.sum_to_size(potential.shape)
        shared = (grad_leak, grad_threshold, grad_potential, grad_initial_spikes)
        return grad_current, *shared, None, None


def spikes_without_gradient(
    current: Tensor,
    leak: Tensor,
    threshold: Tensor,
    potential: Tensor,
    spikes: Tensor,
    reset: Reset,
) -> tuple[Tensor, Tensor]:
    """Return the results of `LIFSequence` in 1/T of its memory, not counting the spikes."""
    all_spikes = torch.empty(current.shape, dtype=current.dtype, device=current.device)
    u = potential.expand_as(current[0]).clone(memory_format=torch.contiguous_format)
    o = spikes
    for t in range(len(current)):
        u.mul_(leak).add_(current[t])
        if reset is Reset.DELAYED:
            u.addcmul_(o, threshold, value=-1)
        o = torch.gt(u, threshold, out=all_spikes[t])
        if reset is Reset.SAME_STEP:
            u.sub_(threshold * o)
        elif reset is Reset.ZERO:
            u.mul_(1 - o)
        elif reset is not Reset.DELAYED:
            raise unknown_reset(reset, "torch operations")
    return all_spikes, u


def after_reset(v: Tensor, o: Tensor, threshold: Tensor, reset: Reset) -> Tensor:
    """Return the potential u[t] that the next step starts from, of v[t] and o[t]."""
    if reset is Reset.DELAYED:
        return v
    if reset is Reset.SAME_STEP:
        return v - threshold * o
    if reset is Reset.ZERO:
        return v * (1 - o)
    raise unknown_reset(reset, "torch operations")


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Sum products pairwise, where a dot of BLAS loses three digits over a layer."""
    return (a * b).sum()


BACKEND = Backend(LIFSequence, spikes_without_gradient)
