"""Hardware descriptions: strict TOML files and the frozen dataclasses they become."""

from pim_sim.hardware.adc import ADC
from pim_sim.hardware.files import HARDWARE, load_hardware
from pim_sim.hardware.parts import Array, Digital, Hardware, Mapping, Memory, Noise

__all__ = [
    "ADC",
    "HARDWARE",
    "Array",
    "Digital",
    "Hardware",
    "Mapping",
    "Memory",
    "Noise",
    "load_hardware",
]
