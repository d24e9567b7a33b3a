"""Whole networks on a chip: one reuse model for CNN and SNN, digital and in memory."""

from pim_sim.network.area import chip_area_mm2
from pim_sim.network.demand import Demand, demands
from pim_sim.network.designs import PRICES, Designs, price_designs
from pim_sim.network.equal import Equal, digital_equal, widened
from pim_sim.network.layer_price import (
    LayerPrice,
    Loading,
    Objective,
    digital_costs,
    price_digital,
)
from pim_sim.network.mappings import Candidates, Counts
from pim_sim.network.pixel_squares import map_part
from pim_sim.network.price import NetworkPrice, price_network
from pim_sim.network.schedules import SCHEDULES, Schedule, candidates

__all__ = [
    "PRICES",
    "SCHEDULES",
    "Candidates",
    "Counts",
    "Demand",
    "Designs",
    "Equal",
    "LayerPrice",
    "Loading",
    "NetworkPrice",
    "Objective",
    "Schedule",
    "candidates",
    "chip_area_mm2",
    "demands",
    "digital_costs",
    "digital_equal",
    "map_part",
    "price_designs",
    "price_digital",
    "price_network",
    "widened",
]
