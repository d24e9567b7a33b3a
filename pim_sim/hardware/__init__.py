"""Hardware descriptions: strict TOML files and the frozen dataclasses they become."""

from pim_sim.hardware.adc import ADC
from pim_sim.hardware.bit_line_array import Array, BitLineArray
from pim_sim.hardware.cells import CELLS, READS, Cell, ReadLaw, Step
from pim_sim.hardware.description import Digital, Hardware, Mapping, Memory, Noise, Packing
from pim_sim.hardware.engine import Engine
from pim_sim.hardware.macro import (
    CellArray,
    Converter,
    Input,
    InputSigns,
    Logic,
    Macro,
    WeightSigns,
)
from pim_sim.hardware.toml_files import (
    HARDWARE,
    MACROS,
    load_hardware,
    load_macro,
    load_measured,
)

__all__ = [
    "ADC",
    "CELLS",
    "HARDWARE",
    "MACROS",
    "READS",
    "Array",
    "BitLineArray",
    "Cell",
    "CellArray",
    "Converter",
    "Digital",
    "Engine",
    "Hardware",
    "Input",
    "InputSigns",
    "Logic",
    "Macro",
    "Mapping",
    "Memory",
    "Noise",
    "Packing",
    "ReadLaw",
    "Step",
    "WeightSigns",
    "load_hardware",
    "load_macro",
    "load_measured",
]
