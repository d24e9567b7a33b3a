"""The socket for neuron models: base class, registry and the one factory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor, nn

from pim_sim.registry import Registry
from snnquant.config import NeuronConfig
from snnquant.errors import InputError

MIN_THRESHOLD = 1e-3
"""Smallest threshold that `Neuron.clamp_` leaves: neurons divide by it."""


class Neuron(nn.Module, ABC):
    """A layer of spiking neurons: current in, spikes out, no state between two calls.

    A model of neurons derives from this class, in one file, and is registered by name in
    `NEURONS`. It has the scalar parameters ``leak`` and ``threshold``: conversion sets them,
    training and quantization treat them as what they are. Without a backend of its own it runs on
    torch operations through autograd; exporters and the integer engine refuse it.

    Example:
        >>> class Silent(Neuron):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.leak = nn.Parameter(torch.tensor(1.0))
        ...         self.threshold = nn.Parameter(torch.tensor(1.0))
        ...     @classmethod
        ...     def from_config(cls, config):
        ...         return cls()
        ...     def forward(self, current):
        ...         return torch.zeros_like(current)
        ...     def reset_parameters(self):
        ...         self.leak.data.fill_(1.0)
        >>> Silent()(torch.ones(5, 2)).sum().item()
        0.0
    """

    leak: nn.Parameter
    threshold: nn.Parameter

    @classmethod
    @abstractmethod
    def from_config(cls, config: NeuronConfig) -> Self:
        """Return a layer with the options of a run."""

    @abstractmethod
    def forward(self, current: Tensor) -> Tensor:
        """Return the spikes [T, N, ...], 0 or 1, for current [T, N, ...] from a fresh start."""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Set the parameters to the values that the layer was built with."""

    @torch.no_grad()
    def clamp_(self) -> None:
        """Clamp leaks to [0, 1] and thresholds above 0; call after an optimizer step."""
        # By name, because under quantization the parameter is parametrizations.leak.original.
        for name, parameter in self.named_parameters():
            if "leak" in name:
                parameter.clamp_(0, 1)
            elif "threshold" in name:
                parameter.clamp_(min=MIN_THRESHOLD)


NEURONS: Registry[type[Neuron]] = Registry("neuron")
"""Neuron models by the name that `--neuron` takes."""


def build_neuron(config: NeuronConfig) -> Neuron:
    """Build a layer of the neuron model that a run asks for.

    Args:
        config: Options of the neuron, with its name in `NEURONS`.

    Returns:
        The layer, with the leak and threshold that its model starts from.

    Raises:
        InputError: For a name that is not registered, and a model without a scalar leak and
            threshold.

    Example:
        >>> build_neuron(NeuronConfig(reset="zero")).reset.value
        'zero'
    """
    neuron = NEURONS.get(config.neuron).from_config(config)
    for name in ("leak", "threshold"):
        parameter = getattr(neuron, name, None)
        if not isinstance(parameter, nn.Parameter) or parameter.ndim:
            found = "none" if parameter is None else f"{type(parameter).__name__}"
            raise InputError(
                f"neuron {config.neuron!r}: {name}: found {found}, expected a scalar parameter"
            )
    return neuron
