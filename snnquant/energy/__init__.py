"""Energy per classified pixel: operations counted on the real network, priced by cost tables."""

from snnquant.energy.cost import COSTS, Cost, add_cost, register_cost
from snnquant.energy.cost_tables import CostTable, WidthTable, load_costs, read_cost_table
from snnquant.energy.counts import (
    LayerActivity,
    Observation,
    measure,
    observe,
    operations,
    shared_between_windows,
)
from snnquant.energy.efforts import Ace, AceV2, NsAce
from snnquant.energy.elementwise import Elementwise
from snnquant.energy.matrix_price import with_front_end
from snnquant.energy.on_chip import (
    NetworkInMemory,
    chip_breakdown,
    chip_energies,
    find_chip,
    network_in_memory,
)
from snnquant.energy.operand_widths import FLOAT32, Counts, Operation, Width
from snnquant.energy.to_pim_sim import (
    find_hardware,
    price_first_layer,
    to_cnn_workload,
    to_workload,
    write_workload,
)

__all__ = [
    "COSTS",
    "FLOAT32",
    "Ace",
    "AceV2",
    "Cost",
    "CostTable",
    "Counts",
    "Elementwise",
    "LayerActivity",
    "NetworkInMemory",
    "NsAce",
    "Observation",
    "Operation",
    "Width",
    "WidthTable",
    "add_cost",
    "chip_breakdown",
    "chip_energies",
    "find_chip",
    "find_hardware",
    "load_costs",
    "measure",
    "network_in_memory",
    "observe",
    "operations",
    "price_first_layer",
    "read_cost_table",
    "register_cost",
    "shared_between_windows",
    "to_cnn_workload",
    "to_workload",
    "with_front_end",
    "write_workload",
]
