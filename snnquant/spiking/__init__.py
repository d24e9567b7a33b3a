"""Spiking neurons: functions (`lif`), modules over them (`layers`), the T-step `network`."""

from snnquant.spiking.layers import LIF
from snnquant.spiking.lif import (
    LIFParameters,
    LIFState,
    initial_state,
    lif_sequence,
    lif_step,
)
from snnquant.spiking.network import SpikingNetwork
from snnquant.spiking.surrogate import ACE_SNN, Surrogate, spike

__all__ = [
    "ACE_SNN",
    "LIF",
    "LIFParameters",
    "LIFState",
    "SpikingNetwork",
    "Surrogate",
    "initial_state",
    "lif_sequence",
    "lif_step",
    "spike",
]
