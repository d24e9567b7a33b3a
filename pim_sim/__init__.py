"""Energy and delay of a neural network's layers, digital and in memory.

>>> from pim_sim import Layer, load_hardware, simulate_layer
>>> conv1 = Layer(name="conv1", kind="conv3d", input_shape=(1, 200, 5, 5),
...               weight_shape=(20, 1, 3, 3, 3), stride=(1, 1, 1), padding=(0, 0, 0),
...               weight_bits=6, input_bits=6, signed=True, time_steps=5, input_density=1.0,
...               repeats_input=True)
>>> report = simulate_layer(conv1, load_hardware("sram_65nm"))
>>> f"{report.comparison.energy.factor:.2f}"
'2.40'

`Workload.from_json` reads the workload.json of a run, and `simulate` takes it whole.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pim_sim.cost_model import Comparison, Cost, Report, simulate, simulate_layer
    from pim_sim.errors import InputError
    from pim_sim.hardware import CELLS, READS, Cell, Chip, Hardware, load_chip, load_hardware
    from pim_sim.network import NetworkPrice, price_network
    from pim_sim.workload import Layer, Operation, Workload

_MODULES = {
    "CELLS": "pim_sim.hardware",
    "READS": "pim_sim.hardware",
    "Cell": "pim_sim.hardware",
    "Chip": "pim_sim.hardware",
    "Comparison": "pim_sim.cost_model",
    "Cost": "pim_sim.cost_model",
    "Hardware": "pim_sim.hardware",
    "InputError": "pim_sim.errors",
    "Layer": "pim_sim.workload",
    "NetworkPrice": "pim_sim.network",
    "Operation": "pim_sim.workload",
    "Report": "pim_sim.cost_model",
    "Workload": "pim_sim.workload",
    "load_chip": "pim_sim.hardware",
    "load_hardware": "pim_sim.hardware",
    "price_network": "pim_sim.network",
    "simulate": "pim_sim.cost_model",
    "simulate_layer": "pim_sim.cost_model",
}
"""Public names and the modules that they are imported from at their first use."""

__all__ = [
    "CELLS",
    "READS",
    "Cell",
    "Chip",
    "Comparison",
    "Cost",
    "Hardware",
    "InputError",
    "Layer",
    "NetworkPrice",
    "Operation",
    "Report",
    "Workload",
    "load_chip",
    "load_hardware",
    "price_network",
    "simulate",
    "simulate_layer",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
