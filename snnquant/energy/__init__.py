"""Energy per classified pixel: operations counted on the real network, priced by cost tables."""

from snnquant.energy.cost_tables import CostTable, load_costs
from snnquant.energy.counts import (
    LayerActivity,
    Observation,
    measure,
    observe,
    operations,
    shared_between_windows,
)
from snnquant.energy.matrix_price import with_front_end
from snnquant.energy.to_pim_sim import (
    find_hardware,
    price_first_layer,
    to_workload,
    write_cnn_workloads,
    write_workload,
)

__all__ = [
    "CostTable",
    "LayerActivity",
    "Observation",
    "find_hardware",
    "load_costs",
    "measure",
    "observe",
    "operations",
    "price_first_layer",
    "shared_between_windows",
    "to_workload",
    "with_front_end",
    "write_cnn_workloads",
    "write_workload",
]
