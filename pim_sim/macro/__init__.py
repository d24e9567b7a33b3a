"""Compute-in-memory macros: described as a chip paper does, priced from capacitances."""

from pim_sim.macro.description import CellArray, Converter, Input, Logic, Macro
from pim_sim.macro.energy import Scales
from pim_sim.macro.files import known_macros, load_macro, macro_file
from pim_sim.macro.pricing import Price, price

__all__ = [
    "CellArray",
    "Converter",
    "Input",
    "Logic",
    "Macro",
    "Price",
    "Scales",
    "known_macros",
    "load_macro",
    "macro_file",
    "price",
]
