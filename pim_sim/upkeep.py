"""What a design spends beside computing: loading its weights, and leakage. Alike on both sides.

Weights stay while pixel after pixel is classified (`Mapping.pixels_per_load`), so that each pixel
bears a share of one load: every weight read once from DRAM, and every copy of it written into the
memory or the array that keeps it.
"""

from __future__ import annotations

from pim_sim.components import cost
from pim_sim.hardware.parts import Hardware
from pim_sim.macro.description import Macro
from pim_sim.macro.tiling import Tiling
from pim_sim.numeric import ceil_div
from pim_sim.results import Cost
from pim_sim.workload import Layer


def sram_loading(layer: Layer, hardware: Hardware, copies: int = 1) -> Cost:
    """One application's share of a load into SRAM that keeps ``copies`` of every weight bit.

    A word written costs a word read, in energy and in time; banks are written at the same time. The
    DRAM's own time is left out.
    """
    memory, bits = hardware.memory, layer.weights * layer.weight_bits
    words = ceil_div(bits * copies, memory.word_bits)
    energy = _dram_pj(bits) + words * memory.read_energy_pj
    delay = ceil_div(words, memory.banks) * memory.read_time_ns
    return _share(layer, hardware, energy, delay)


def macro_loading(layer: Layer, hardware: Hardware, macro: Macro, tiling: Tiling) -> Cost:
    """One application's share of a load into the cells of macros, with all copies of the weights.

    RRAM cells take pulses, and those of one row of every macro are written at the same time.
    """
    array = macro.array
    copies = tiling.windows * tiling.copies * array.row_signs * array.column_signs
    if array.cell != "rram":
        return sram_loading(layer, hardware, copies)
    pulse, pulses = cost("rram_pulse"), cost("rram_pulses").value
    cells = layer.weights * ceil_div(layer.weight_bits, array.bits_per_cell) * copies
    energy = _dram_pj(layer.weights * layer.weight_bits) + cells * pulses * pulse.value
    rows = ceil_div(cells, array.columns * macro.copies)
    return _share(layer, hardware, energy, rows * pulses * cost("rram_pulse_time").value)


def leakage(cells: float, supply_v: float | None, delay_ns: float) -> Cost:
    """What 6T cells, and as many gates taken to leak like them, leak while the design computes.

    In proportion to the supply, at that of the table where it is not known.
    """
    row = cost("sram_leakage")
    supply = row.voltage_v if supply_v is None else supply_v
    return Cost(cells * row.value * supply / row.voltage_v * delay_ns * 1e-9, 0.0)


def _dram_pj(bits: int) -> float:
    row = cost("dram_read")
    return bits * row.value / row.bits


def _share(layer: Layer, hardware: Hardware, energy_pj: float, delay_ns: float) -> Cost:
    share = hardware.mapping.pixels_per_load * layer.applications
    return Cost(energy_pj / share, delay_ns / share)
