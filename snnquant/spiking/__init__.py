"""Spiking neurons: functions (`lif`), modules over them (`layers`), the T-step `network`."""

from snnquant.spiking.layers import LIF
from snnquant.spiking.lif import (
    LIFParameters,
    LIFState,
    Surrogate,
    initial_state,
    lif_sequence,
    lif_step,
    spike,
)
from snnquant.spiking.network import SpikingNetwork

__all__ = [
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
