"""The LIF layer: learnable leak and threshold over the functions of `snnquant.spiking.lif`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.spiking.lif import LIFParameters, initial_state, lif_sequence
from snnquant.spiking.surrogate import ACE_SNN, Surrogate

LEAST_THRESHOLD = 1e-3
"""Smallest threshold that `LIF.clamp_` leaves: the neuron divides by it."""


class LIF(nn.Module):
    """A layer of leaky integrate-and-fire neurons that share one learnable leak and threshold.

    The equations and gradients are those of `snnquant.spiking.lif`. Every forward starts anew, at
    the potential ``initial * threshold``; the layer itself holds no state.

    Raises `InputError` for a leak outside 0..1, a threshold not above 0, and an unknown reset.
    """

    def __init__(
        self,
        leak: float = 1.0,
        threshold: float = 1.0,
        *,
        reset: str = "delayed",
        surrogate: Surrogate = ACE_SNN,
        initial: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= leak <= 1:
            raise InputError(f"leak: found {leak}, expected 0 to 1")
        if not threshold > 0:
            raise InputError(f"threshold: found {threshold}, expected above 0")
        self.start = (float(leak), float(threshold))
        self.leak = nn.Parameter(torch.empty(()))
        self.threshold = nn.Parameter(torch.empty(()))
        self.reset_parameters()
        self.reset = reset
        self.surrogate = surrogate
        self.initial = initial
        LIFParameters(self.leak, self.threshold, reset)  # refuses an unknown reset now

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set leak and threshold to the values that the layer was built with."""
        for parameter, value in zip((self.leak, self.threshold), self.start, strict=True):
            parameter.fill_(value)

    def forward(self, current: Tensor) -> Tensor:
        """Spikes [T, N, ...] for current [T, N, ...], in the current's dtype.

        Under `torch.autocast` in float32: a potential adds up over the steps.
        """
        if torch.is_autocast_enabled(current.device.type):
            current = current.float()
        parameters = LIFParameters(self.leak, self.threshold, self.reset)
        state = initial_state(current, parameters, self.initial)
        spikes, _ = lif_sequence(current, parameters, state, self.surrogate)
        return spikes

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring the leak back to [0, 1] and the threshold above 0; call after an optimizer step."""
        # By name, because under quantization the parameter is parametrizations.leak.original.
        for name, parameter in self.named_parameters():
            if "leak" in name:
                parameter.clamp_(0, 1)
            elif "threshold" in name:
                parameter.clamp_(min=LEAST_THRESHOLD)

    def extra_repr(self) -> str:
        """Leak, threshold and conventions, for ``print(model)``."""
        return (
            f"leak={self.leak.item():.4g}, threshold={self.threshold.item():.4g}, "
            f"reset={self.reset!r}, surrogate={self.surrogate.kind!r}, initial={self.initial}"
        )
