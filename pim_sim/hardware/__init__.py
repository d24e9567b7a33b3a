"""Hardware descriptions: strict TOML files and the frozen dataclasses they become."""

from pim_sim.hardware.adc import ADC
from pim_sim.hardware.bit_line_array import Array, BitLineArray
from pim_sim.hardware.cells import CELLS, READS, Cell, ReadLaw, Step
from pim_sim.hardware.chip import (
    DRAM,
    Buffer,
    Chip,
    Core,
    EventCore,
    Links,
    NeuronUnits,
    with_fields,
    with_macro,
)
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
    CHIPS,
    HARDWARE,
    MACROS,
    load_chip,
    load_hardware,
    load_macro,
    load_measured,
)

__all__ = [
    "ADC",
    "CELLS",
    "CHIPS",
    "DRAM",
    "HARDWARE",
    "MACROS",
    "READS",
    "Array",
    "BitLineArray",
    "Buffer",
    "Cell",
    "CellArray",
    "Chip",
    "Converter",
    "Core",
    "Digital",
    "Engine",
    "EventCore",
    "Hardware",
    "Input",
    "InputSigns",
    "Links",
    "Logic",
    "Macro",
    "Mapping",
    "Memory",
    "NeuronUnits",
    "Noise",
    "Packing",
    "ReadLaw",
    "Step",
    "WeightSigns",
    "load_chip",
    "load_hardware",
    "load_macro",
    "load_measured",
    "with_fields",
    "with_macro",
]
