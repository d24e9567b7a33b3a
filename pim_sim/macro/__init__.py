"""Compute-in-memory macros: described as a chip paper does, priced from capacitances."""

from pim_sim.macro.description import CellArray, Converter, Input, Logic, Macro
from pim_sim.macro.energy import Scales
from pim_sim.macro.files import MACROS, load_macro
from pim_sim.macro.pricing import Price, price

__all__ = [
    "MACROS",
    "CellArray",
    "Converter",
    "Input",
    "Logic",
    "Macro",
    "Price",
    "Scales",
    "load_macro",
    "price",
]
