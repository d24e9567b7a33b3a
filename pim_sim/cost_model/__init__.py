"""The cost model: energy, delay and area of a layer digital and in memory, by component."""

from pim_sim.cost_model.bit_line_layout import Placement, place
from pim_sim.cost_model.costs import Comparison, Cost, Design, Ratio
from pim_sim.cost_model.digital import LayerOnMultipliers, add_pj
from pim_sim.cost_model.layer_report import Report
from pim_sim.cost_model.macro_layer import macro_costs
from pim_sim.cost_model.macro_layout import MacroLayout, Tiling, configured_for, lay_out, tile
from pim_sim.cost_model.macro_price import (
    Price,
    areas_um2,
    cycle_time_ns,
    energies_per_mac,
    price,
    stage_times_ns,
)
from pim_sim.cost_model.mapped_layer import MappedLayer, MappedOnArrays, Setup, Utilisation
from pim_sim.cost_model.scales import (
    CALIBRATION_FILE,
    Scales,
    calibrated,
    load_scales,
    spreads,
)
from pim_sim.cost_model.simulate import both_sides, simulate, simulate_layer
from pim_sim.cost_model.uncertainty import Uncertainty, interval, uncertainty

__all__ = [
    "CALIBRATION_FILE",
    "Comparison",
    "Cost",
    "Design",
    "LayerOnMultipliers",
    "MacroLayout",
    "MappedLayer",
    "MappedOnArrays",
    "Placement",
    "Price",
    "Ratio",
    "Report",
    "Scales",
    "Setup",
    "Tiling",
    "Uncertainty",
    "Utilisation",
    "add_pj",
    "areas_um2",
    "both_sides",
    "calibrated",
    "configured_for",
    "cycle_time_ns",
    "energies_per_mac",
    "interval",
    "lay_out",
    "load_scales",
    "macro_costs",
    "place",
    "price",
    "simulate",
    "simulate_layer",
    "spreads",
    "stage_times_ns",
    "tile",
    "uncertainty",
]
