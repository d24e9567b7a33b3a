"""The cost model: energy, delay and area of a layer digital and in memory, by component."""

from pim_sim.cost_model.bit_line_layout import Placement, place
from pim_sim.cost_model.costs import Comparison, Cost, Design, Ratio
from pim_sim.cost_model.digital import LayerOnMultipliers, add_pj
from pim_sim.cost_model.layer_report import Report
from pim_sim.cost_model.macro_layer import macro_costs
from pim_sim.cost_model.macro_layout import MacroLayout, Tiling, configured_for, lay_out, tile
from pim_sim.cost_model.macro_price import Price, cycle_time_ns, price
from pim_sim.cost_model.mapped_layer import MappedLayer, MappedOnArrays, Setup, Utilisation
from pim_sim.cost_model.scales import CALIBRATION_FILE, Scales, calibrated
from pim_sim.cost_model.simulate import both_sides, simulate, simulate_layer
from pim_sim.cost_model.uncertainty import Uncertainty, uncertainty

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
    "both_sides",
    "calibrated",
    "configured_for",
    "cycle_time_ns",
    "lay_out",
    "macro_costs",
    "place",
    "price",
    "simulate",
    "simulate_layer",
    "tile",
    "uncertainty",
]
