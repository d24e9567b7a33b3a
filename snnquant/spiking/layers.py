"""The LIF layer: learnable leak and threshold over the functions of `snnquant.spiking.lif`."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from snnquant.config import NeuronConfig
from snnquant.errors import InputError
from snnquant.spiking.leaks import Leak, on_levels
from snnquant.spiking.lif import LIFParameters, Reset, initial_state
from snnquant.spiking.neuron import NEURONS, Neuron
from snnquant.spiking.potentials import PotentialGrid, lay_grid, saturating_spikes, units_of
from snnquant.spiking.sequence import lif_sequence
from snnquant.spiking.surrogate import ACE_SNN, Surrogate

FLOATING = 32
"""Bits of a potential that is in floating point."""


@NEURONS.register("lif")
class LIF(Neuron):
    """A layer of leaky integrate-and-fire neurons that share one learnable leak and threshold.

    The equations and gradients are those of `snnquant.spiking.lif`, or with potentials of fewer
    than 32 bits those of `snnquant.spiking.potentials`. Every forward starts anew, at the potential
    ``initial * threshold``; the layer itself holds no state.

    Args:
        leak: Share of the potential that is left after a step, 0 to 1.
        threshold: Threshold, above 0, in the units of the current.
        reset: A `Reset` or its name.
        surrogate: Derivative of the spike.
        initial: Potential before the first step, in thresholds.
        leaks: A `Leak` or its name, the grid that the leak is rounded to in every forward.
        potential_bits: Bits of a potential, 8 to 16, saturating; 32 for floating point.

    Raises:
        InputError: For a leak outside 0..1, a threshold not above 0, and an unknown reset.

    Example:
        >>> spikes = LIF(leak=0.5, threshold=1.0)(torch.full((3, 2), 0.8))  # [T, N]
        >>> spikes[:, 0].tolist()
        [0.0, 1.0, 0.0]
    """

    units: Tensor | None

    def __init__(
        self,
        leak: float = 1.0,
        threshold: float = 1.0,
        *,
        reset: str = Reset.DELAYED,
        surrogate: Surrogate = ACE_SNN,
        initial: float = 0.0,
        leaks: str = Leak.FREE,
        potential_bits: int = FLOATING,
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
        self.reset = Reset.of(reset)
        self.surrogate = surrogate
        self.initial = initial
        self.leaks = Leak(leaks)
        self.potential_bits = potential_bits
        self.register_buffer("units", None)

    @classmethod
    def from_config(cls, config: NeuronConfig) -> Self:
        """Return a layer with leak 1, threshold 1 and the options of a run."""
        surrogate = Surrogate.named(
            config.surrogate, config.surrogate_scale, config.surrogate_width
        )
        return cls(
            reset=config.reset,
            surrogate=surrogate,
            initial=config.initial,
            leaks=config.leak,
            potential_bits=config.potential_bits,
        )

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set leak and threshold to the values that the layer was built with."""
        for parameter, value in zip((self.leak, self.threshold), self.start, strict=True):
            parameter.fill_(value)

    def forward(self, current: Tensor) -> Tensor:
        """Return the spikes [T, N, ...] for current [T, N, ...], in the current's dtype.

        Under `torch.autocast` in float32: a potential adds up over the steps.
        """
        if torch.is_autocast_enabled(current.device.type):
            current = current.float()
        if self.potential_bits != FLOATING:
            return self.saturating(current, self.surrogate)
        parameters = self.constants()
        state = initial_state(current, parameters, self.initial)
        spikes, _ = lif_sequence(current, parameters, state, self.surrogate)
        return spikes

    def constants(self) -> LIFParameters:
        """Return leak, threshold and reset as the neurons use them: the leak on its grid."""
        leak = self.leak
        if self.leaks is not Leak.FREE or self.potential_bits != FLOATING:
            leak = on_levels(leak, self.leaks)  # type: ignore[assignment]
        return LIFParameters(leak, self.threshold, self.reset)

    def saturating(self, current: Tensor, surrogate: Surrogate | None) -> Tensor:
        """Return the spikes [T, N, ...] of narrow potentials; see `saturating_spikes`."""
        constants = self.constants()
        return saturating_spikes(
            current,
            constants.leak,
            constants.threshold,
            self.grid(),
            self.reset,
            self.initial,
            surrogate,
        )

    def grid(self) -> PotentialGrid:
        """Return the grid of potentials of `potential_bits`."""
        return lay_grid(self.threshold.detach(), self.potential_bits, self.units)

    @torch.no_grad()
    def lay_units(self, scale: Tensor) -> None:
        """Align potentials with the sums that they add up, of weights of a scale per channel [K].

        The steps are the buffer `units`, which a checkpoint carries.
        """
        threshold = self.threshold.detach()
        self.units = units_of(scale.to(threshold), threshold, self.potential_bits)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take the units that a state has, of any number of channels."""
        stored = state_dict.get(f"{prefix}units")
        self.units = None if stored is None else stored.clone().to(self.leak.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """Return leak, threshold and conventions, for ``print(model)``."""
        return (
            f"leak={self.constants().leak.item():.4g}, threshold={self.threshold.item():.4g}, "
            f"reset={self.reset.value!r}, surrogate={self.surrogate.kind!r}, "
            f"initial={self.initial}, leaks={self.leaks.value!r}, "
            f"potential_bits={self.potential_bits}"
        )


def require_lif(layer: Neuron, name: str, reader: str) -> LIF:
    """Return a layer that computes what `LIF` does, for a `reader` that knows no other neuron.

    A class that derives from `LIF` and runs otherwise is another neuron. Raises `InputError` that
    names the layer and its class.
    """
    if isinstance(layer, LIF) and type(layer).forward is LIF.forward:
        return layer
    # Quantized parameters make torch derive a class of the same name with a prefix.
    found = type(layer).__name__.removeprefix("Parametrized")
    raise InputError(f"{reader}: layer {name}: found neurons of class {found}, expected LIF")


def require_floating(layer: LIF, name: str, reader: str) -> LIF:
    """Return a layer whose potentials are in floating point, for a `reader` that has no others."""
    if layer.potential_bits != FLOATING:
        raise InputError(
            f"{reader}: layer {name}: found potentials of {layer.potential_bits} bits, expected "
            "--potential-bits 32, or --format onnx, which takes both"
        )
    return layer
