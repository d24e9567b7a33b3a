"""Energy and delay of a neural network's layers, digital and in memory.

from pim_sim import Workload, load_hardware, simulate

report = simulate(Workload.from_json("workload.json"), load_hardware("sram_65nm"))
print(report.comparison.energy.factor)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pim_sim.errors import InputError
    from pim_sim.hardware import Hardware, load_hardware
    from pim_sim.model import simulate, simulate_layer
    from pim_sim.results import Comparison, Cost, Report
    from pim_sim.workload import Layer, Workload

_MODULES = {
    "Comparison": "pim_sim.results",
    "Cost": "pim_sim.results",
    "Hardware": "pim_sim.hardware",
    "InputError": "pim_sim.errors",
    "Layer": "pim_sim.workload",
    "Report": "pim_sim.results",
    "Workload": "pim_sim.workload",
    "load_hardware": "pim_sim.hardware",
    "simulate": "pim_sim.model",
    "simulate_layer": "pim_sim.model",
}
"""Public names and the modules they are imported from when they are first asked for."""

__all__ = [
    "Comparison",
    "Cost",
    "Hardware",
    "InputError",
    "Layer",
    "Report",
    "Workload",
    "load_hardware",
    "simulate",
    "simulate_layer",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
