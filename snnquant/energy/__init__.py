"""What a classification costs: operations counted on the real network, energy by named tables."""

from snnquant.energy.costs import CostTable, load_costs
from snnquant.energy.counts import (
    LayerActivity,
    measure,
    operations,
    shared_between_windows,
    spike_rates,
)
from snnquant.energy.workload import find_hardware, price_first_layer, to_workload, write_workload

__all__ = [
    "CostTable",
    "LayerActivity",
    "find_hardware",
    "load_costs",
    "measure",
    "operations",
    "price_first_layer",
    "shared_between_windows",
    "spike_rates",
    "to_workload",
    "write_workload",
]
