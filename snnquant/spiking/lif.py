r"""The leaky integrate-and-fire neuron as pure functions on tensors, with explicit state.

Symbols: :math:`I` input current, :math:`u` membrane potential, :math:`o` spikes (0 or 1),
:math:`\lambda` leak, :math:`V` threshold. A neuron spikes when its potential is strictly above
the threshold. The `Reset` says what a spike does to the potential:

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

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from snnquant.errors import InputError
from snnquant.spiking.surrogate import ACE_SNN, Surrogate, spike


class Reset(StrEnum):
    """The reset conventions: the only list of them.

    Whatever steps a neuron names the members that it computes and refuses all others with
    `unknown_reset`, so that none is ever taken for another.
    """

    DELAYED = "delayed"
    SAME_STEP = "same_step"
    ZERO = "zero"

    @classmethod
    def of(cls, name: str) -> Reset:
        """Return the reset called `name`; raise `InputError` for an unknown name."""
        try:
            return cls(name)
        except ValueError:
            raise unknown_reset(name) from None


def unknown_reset(
    found: str, where: str = "", known: tuple[Reset, ...] = tuple(Reset)
) -> InputError:
    """Return the error for a reset that `where`, a backend or a format, does not compute."""
    prefix = f"{where}: " if where else ""
    return InputError(f"{prefix}reset: found {str(found)!r}, expected one of {', '.join(known)}")


@dataclass(frozen=True)
class LIFParameters:
    """Leak, threshold and reset convention, shared by the neurons of a layer.

    Args:
        leak: Scalar tensor, the share of the potential that is left after a step.
        threshold: Scalar tensor, in the units of the current.
        reset: A `Reset` or its name.

    Raises:
        InputError: For an unknown reset, or a leak or threshold that is not a scalar.

    Example:
        >>> import torch
        >>> LIFParameters(torch.tensor(0.9), torch.tensor(1.0), "zero").reset.value
        'zero'
    """

    leak: Tensor
    threshold: Tensor
    reset: Reset = Reset.DELAYED

    def __post_init__(self) -> None:
        object.__setattr__(self, "reset", Reset.of(self.reset))
        for name in ("leak", "threshold"):
            value = getattr(self, name)
            if value.ndim:
                raise InputError(f"{name}: found shape {tuple(value.shape)}, expected a scalar")


@dataclass(frozen=True)
class LIFState:
    """Potential and spikes that a step passes on to the next.

    The potential is taken after the step's own reset; with the delayed reset that is before the
    spike's subtraction, so the spikes are part of the state.

    Args:
        potential: u[t], of shape [N, ...], in the units of the current; a scalar that all neurons
            share before the first step.
        spikes: o[t], of shape [N, ...], 0 or 1, or such a scalar.

    Example:
        >>> import torch
        >>> LIFState(torch.zeros(3), torch.zeros(3)).potential.shape
        torch.Size([3])
    """

    potential: Tensor
    spikes: Tensor


def initial_state(current: Tensor, parameters: LIFParameters, initial: float = 0.0) -> LIFState:
    """Return the state before the first step: ``initial`` thresholds of potential, no spikes.

    Both are scalars, which all neurons share, of the dtype of ``current``. One half corrects a
    converted network's rounding (QCFS, Bu et al. 2022). The gradient of the threshold runs through
    the potential too.
    """
    nothing = current.new_zeros(())
    potential = initial * parameters.threshold.to(current.dtype) if initial else nothing
    return LIFState(potential, nothing)


def lif_step(
    current: Tensor,
    parameters: LIFParameters,
    state: LIFState,
    surrogate: Surrogate | None = ACE_SNN,
) -> tuple[Tensor, LIFState]:
    """Run one time step; the recurrences are those of the module's docstring.

    Args:
        current: Input current [N, ...]; leak and threshold are cast to its dtype.
        parameters: Leak, threshold and reset.
        state: The state after the previous step.
        surrogate: Derivative of the spike; None compares potential and threshold in plain
            operations without gradient, which exporters can trace.

    Returns:
        The spikes [N, ...] and the next state.

    Raises:
        InputError: For a reset that is no member of `Reset`.

    Example:
        >>> import torch
        >>> parameters = LIFParameters(torch.tensor(1.0), torch.tensor(1.0))
        >>> start = LIFState(torch.zeros(2), torch.zeros(2))
        >>> spikes, state = lif_step(torch.tensor([0.4, 1.6]), parameters, start)
        >>> spikes.tolist()
        [0.0, 1.0]
    """
    leak = parameters.leak.to(current.dtype)
    threshold = parameters.threshold.to(current.dtype)
    v = leak * state.potential + current
    if parameters.reset is Reset.DELAYED:
        v = v - threshold * state.spikes
    if surrogate is None:
        spikes = (v > threshold).to(current.dtype)
    else:
        # z = u/V - 1, written so that its sign is exactly that of u - V.
        spikes = spike((v - threshold) / threshold, surrogate)
    if parameters.reset is Reset.DELAYED:
        u = v
    elif parameters.reset is Reset.SAME_STEP:
        u = v - threshold * spikes
    elif parameters.reset is Reset.ZERO:
        u = v * (1 - spikes)
    else:
        raise unknown_reset(parameters.reset, "lif_step")
    return spikes, LIFState(u, spikes)
