"""Spiking neurons: functions, modules over them, the socket for models, the T-step network."""

from snnquant.spiking.layers import FLOATING, LIF, require_floating, require_lif
from snnquant.spiking.leaks import MAX_SHIFT, Leak, shifts
from snnquant.spiking.lif import (
    LIFParameters,
    LIFState,
    Reset,
    initial_state,
    lif_step,
    unknown_reset,
)
from snnquant.spiking.network import SpikingNetwork, spiking_layers
from snnquant.spiking.neuron import NEURONS, Neuron, build_neuron
from snnquant.spiking.potentials import PotentialGrid
from snnquant.spiking.sequence import lif_sequence
from snnquant.spiking.surrogate import ACE_SNN, Surrogate, spike

__all__ = [
    "ACE_SNN",
    "FLOATING",
    "LIF",
    "MAX_SHIFT",
    "NEURONS",
    "LIFParameters",
    "LIFState",
    "Leak",
    "Neuron",
    "PotentialGrid",
    "Reset",
    "SpikingNetwork",
    "Surrogate",
    "build_neuron",
    "initial_state",
    "lif_sequence",
    "lif_step",
    "require_floating",
    "require_lif",
    "shifts",
    "spike",
    "spiking_layers",
    "unknown_reset",
]
