"""Energy and delay of a neural network's layers, digital and in memory.

from pim_sim import Workload, load_hardware, simulate

report = simulate(Workload.from_json("workload.json"), load_hardware("sram_65nm"))
print(report.comparison.energy.factor)
"""

from pim_sim.errors import InputError
from pim_sim.hardware import Hardware, load_hardware
from pim_sim.model import simulate, simulate_layer
from pim_sim.results import Comparison, Cost, Report
from pim_sim.workload import Layer, Workload

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
