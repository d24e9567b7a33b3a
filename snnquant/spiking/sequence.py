"""All time steps of a LIF layer at once, by the fastest backend that suits the current."""

from __future__ import annotations

import torch
from torch import Tensor

from snnquant.errors import InputError
from snnquant.spiking.backends import backend_for
from snnquant.spiking.lif import LIFParameters, LIFState, initial_state
from snnquant.spiking.surrogate import ACE_SNN, Surrogate


def lif_sequence(
    current: Tensor,
    parameters: LIFParameters,
    state: LIFState | None = None,
    surrogate: Surrogate = ACE_SNN,
) -> tuple[Tensor, LIFState]:
    """Run T time steps of LIF neurons.

    A current that repeats may be an expanded view (stride 0 over T); it is not copied, and its
    gradient is summed over T.

    Args:
        current: Input current [T, N, ...], floating point, T >= 1.
        parameters: Leak, threshold and reset; cast to the current's dtype.
        state: The state before the first step; without one the neurons start at potential 0.
        surrogate: Derivative of the spike.

    Returns:
        The spikes [T, N, ...], in the current's dtype, and the state after the last step.

    Raises:
        InputError: For a current that is not floating point or has no time axis or no step.

    Example:
        >>> import torch
        >>> parameters = LIFParameters(torch.tensor(1.0), torch.tensor(1.0))
        >>> spikes, _ = lif_sequence(torch.full((4, 1), 0.6), parameters)
        >>> spikes.flatten().tolist()
        [0.0, 1.0, 0.0, 1.0]
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
    backend = backend_for(current)
    if torch.is_grad_enabled():
        spikes, potential = backend.sequence.apply(*arguments, surrogate)
    else:
        spikes, potential = backend.without_gradient(*arguments)
    return spikes, LIFState(potential, spikes[-1])
