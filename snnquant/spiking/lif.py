r"""The leaky integrate-and-fire neuron as pure functions on tensors, with explicit state.

Symbols: :math:`I` input current, :math:`u` membrane potential, :math:`o` spikes (0 or 1),
:math:`\lambda` leak, :math:`V` threshold. A neuron spikes when its potential is strictly above
the threshold. What a spike does to the potential is the reset convention:

delayed (ACE-SNN, Datta et al. 2022; the default)
    :math:`u[t] = \lambda u[t-1] + I[t] - V o[t-1]`, :math:`o[t] = 1` if :math:`u[t] > V`
same_step (soft reset before the next leak, as in DIET-SNN's code)
    :math:`v[t] = \lambda u[t-1] + I[t]`, :math:`o[t] = 1` if :math:`v[t] > V`,
    :math:`u[t] = v[t] - V o[t]`
zero (hard reset)
    :math:`v[t] = \lambda u[t-1] + I[t]`, :math:`o[t] = 1` if :math:`v[t] > V`,
    :math:`u[t] = v[t] (1 - o[t])`

The three differ: on one input about a quarter of the spikes move, so the convention belongs to
the model and is stored with it.

Gradient: the spike is a step in :math:`z = u/V - 1`, and its derivative is replaced by a
`Surrogate`. Nothing is detached. Gradients reach the current, the leak, the initial state and the
threshold; the threshold through :math:`z` and through the reset term :math:`-V o`; and the reset
passes gradient to the spike, and through its surrogate to the potential.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from snnquant.errors import InputError
from snnquant.spiking.backends.torch_ops import LIFSequence, spikes_without_gradient
from snnquant.spiking.surrogate import ACE_SNN, Surrogate, spike

RESETS = ("delayed", "same_step", "zero")
NUMBA = find_spec("numba") is not None
"""Whether numba is there, which makes neurons on processors several times as fast."""
TRITON = find_spec("triton") is not None
"""Whether Triton is there, as it is with the builds of torch for GPUs."""


@dataclass(frozen=True)
class LIFParameters:
    """What the neurons of a layer share: leak and threshold (scalars), and the reset convention.

    Raises `InputError` for an unknown reset or a leak or threshold that is not a scalar.
    """

    leak: Tensor
    threshold: Tensor
    reset: str = "delayed"

    def __post_init__(self) -> None:
        if self.reset not in RESETS:
            raise InputError(f"reset: found {self.reset!r}, expected one of {RESETS}")
        for name in ("leak", "threshold"):
            value = getattr(self, name)
            if value.ndim:
                raise InputError(f"{name}: found shape {tuple(value.shape)}, expected a scalar")


@dataclass(frozen=True)
class LIFState:
    """What a step hands to the next: potential u[t] and spikes o[t], both of shape [N, ...].

    The potential is taken after the step's own reset; with the delayed reset that is before the
    spike's subtraction, which is why the spikes are part of the state.
    """

    potential: Tensor
    spikes: Tensor


def initial_state(current: Tensor, parameters: LIFParameters, initial: float = 0.0) -> LIFState:
    """State before the first step: potential ``initial`` times the threshold, no spikes.

    ``current`` is [T, N, ...]. One half corrects a converted network's rounding (QCFS, Bu et al.
    2022). The gradient of the threshold runs through the potential too.
    """
    nothing, shape = current.new_zeros(()), current.shape[1:]
    potential = initial * parameters.threshold.to(current.dtype) if initial else nothing
    return LIFState(potential.expand(shape), nothing.expand(shape))


def lif_step(
    current: Tensor, parameters: LIFParameters, state: LIFState, surrogate: Surrogate
) -> tuple[Tensor, LIFState]:
    """One time step for current [N, ...]: the spikes [N, ...] and the next state.

    Leak and threshold are cast to the current's dtype. See the module for the recurrences.
    """
    leak = parameters.leak.to(current.dtype)
    threshold = parameters.threshold.to(current.dtype)
    potential = leak * state.potential + current
    if parameters.reset == "delayed":
        potential = potential - threshold * state.spikes
    # z = u/V - 1, written so that its sign is exactly that of u - V.
    spikes = spike((potential - threshold) / threshold, surrogate)
    if parameters.reset == "same_step":
        potential = potential - threshold * spikes
    elif parameters.reset == "zero":
        potential = potential * (1 - spikes)
    return spikes, LIFState(potential, spikes)


def lif_sequence(
    current: Tensor,
    parameters: LIFParameters,
    state: LIFState | None = None,
    surrogate: Surrogate = ACE_SNN,
) -> tuple[Tensor, LIFState]:
    """Run T steps over current [T, N, ...]: spikes [T, N, ...] and the last state.

    Without a state the neurons start at potential 0. A current that repeats may be an expanded
    view (stride 0 over T); it is not copied, and its gradient is summed over T.
    Raises `InputError` for a current that is not floating point or has no time axis or no step.
    """
    if not current.is_floating_point() or current.ndim < 2 or not len(current):
        found = f"{current.dtype} of shape {tuple(current.shape)}"
        raise InputError(f"current: found {found}, expected floating point [T, N, ...], T >= 1")
    if state is None:
        state = initial_state(current, parameters)
    arguments = (
        current,
        parameters.leak.to(current.dtype),
        parameters.threshold.to(current.dtype),
        state.potential,
        state.spikes,
        parameters.reset,
    )
    sequence, without_gradient = _fastest(current)
    if torch.is_grad_enabled():
        spikes, potential = sequence.apply(*arguments, surrogate)
    else:
        spikes, potential = without_gradient(*arguments)
    return spikes, LIFState(potential, spikes[-1])


def _fastest(current: Tensor) -> tuple[Any, Callable[..., tuple[Tensor, Tensor]]]:
    """The autograd function that suits this current, and what gives the same without a graph."""
    if current.dtype in (torch.float32, torch.float64) and not torch.compiler.is_compiling():
        if NUMBA and current.device.type == "cpu":
            from snnquant.spiking.backends import numba_sequence

            return numba_sequence.CompiledSequence, numba_sequence.run
        if TRITON and current.device.type == "cuda":
            from snnquant.spiking.backends import triton_kernels

            if len(current) <= triton_kernels.MOST_STEPS and triton_kernels.agree(current.device):
                return triton_kernels.KernelSequence, triton_kernels.run
    return LIFSequence, spikes_without_gradient
