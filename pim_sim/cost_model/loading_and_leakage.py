"""Overheads common to both designs: weight loading, leakage, control and output writes.

Weights stay while pixel after pixel is classified (`Mapping.pixels_per_load`), so that each pixel
bears a share of one load: every weight read once from DRAM, and every copy of it written into the
memory or the array that keeps it. Where the arrays do not keep the whole layer, every pixel bears a
load of its own, of all weights: one set after another, each for all time steps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from pim_sim.cost_model.costs import (
    CONTROL_SHARE,
    LEAKAGE_POWER,
    LOADING_ENERGY,
    LOGIC_ENERGY,
    MEMORY_ENERGY,
    MEMORY_TIME,
    STEP_TIME,
    Cost,
)
from pim_sim.cost_model.macro_layout import Tiling
from pim_sim.hardware import Hardware, Macro, Memory
from pim_sim.technology import cost
from pim_sim.workload import Layer, ceil_div

DRAM_BITS_PER_NS = 32.0
"""Bits that a DRAM delivers per ns: 32 pins of 1 Gb/s (chosen, as of the shipped chips)."""


def sum_bits(layer: Layer) -> int:
    """Return the bits of a sum wide enough for ``fan_in`` products."""
    return layer.weight_bits + layer.input_bits + (layer.fan_in - 1).bit_length()


def transfer_pj(bits: int, memory: Memory) -> float:
    """Return the energy of moving so many bits to or from a memory; a write costs a read."""
    return ceil_div(bits, memory.word_bits) * memory.read_energy_pj


def input_cells(layer: Layer) -> int:
    """Return the cells of the memory that keeps the inputs of one application."""
    return layer.inputs * layer.input_bits


def input_reads(layer: Layer, memory: Memory) -> Cost:
    """Return the cost of reading every input value once; overlapped, so without delay."""
    return Cost(transfer_pj(input_cells(layer), memory), 0.0, (MEMORY_ENERGY, MEMORY_TIME))


def output_writes(layer: Layer, memory: Memory) -> Cost:
    """Return the cost of writing every output sum once; overlapped, so without delay."""
    bits = layer.outputs * sum_bits(layer)
    return Cost(transfer_pj(bits, memory), 0.0, (MEMORY_ENERGY, MEMORY_TIME))


def control_and_writes(
    layer: Layer, hardware: Hardware, costs: Mapping[str, Cost], computing: Collection[str]
) -> dict[str, Cost]:
    """Return control and output writes of one application; none for hardware that leaves them out.

    Control is a share of the ``computing`` components; both overlap, so without delay.
    """
    if not hardware.complete:
        return {}
    control = CONTROL_SHARE * sum(costs[name].energy_pj for name in computing)
    return {
        "control": Cost(control, 0.0, (LOGIC_ENERGY, STEP_TIME)),
        "output_writes": output_writes(layer, hardware.memory),
    }


def sram_loading(layer: Layer, hardware: Hardware, copies: int = 1, exchanges: int = 0) -> Cost:
    """Return one application's share of a load into SRAM that keeps ``copies`` of every weight bit.

    A word written costs a word read, in energy and in time; banks are written at the same time, and
    while the DRAM is read.
    """
    memory, bits = hardware.memory, layer.weights * layer.weight_bits
    words = ceil_div(bits * copies, memory.word_bits)
    energy = _dram_pj(bits) + words * memory.read_energy_pj
    writing = ceil_div(words, memory.banks) * memory.read_time_ns
    delay = np.maximum(writing, bits / DRAM_BITS_PER_NS)
    return _share(layer, hardware, energy, delay, exchanges)


def macro_loading(layer: Layer, hardware: Hardware, macro: Macro, tiling: Tiling) -> Cost:
    """Return one application's share of a load into macros, with all copies of the weights.

    Cells that pulses write are written row by row, one row of every macro at the same time.
    """
    array, kind = macro.array, macro.array.kind
    copies = tiling.windows * tiling.copies * array.row_signs * array.column_signs
    if kind.write_pulses is None or kind.write_pulse_pj is None or kind.write_pulse_ns is None:
        return sram_loading(layer, hardware, copies, tiling.exchanges)
    pulses, bits = kind.write_pulses, layer.weights * layer.weight_bits
    cells = layer.weights * ceil_div(layer.weight_bits, array.bits_per_cell) * copies
    energy = _dram_pj(bits) + cells * pulses * kind.write_pulse_pj
    rows = ceil_div(cells, array.columns * macro.copies)
    delay = np.maximum(rows * pulses * kind.write_pulse_ns, bits / DRAM_BITS_PER_NS)
    return _share(layer, hardware, energy, delay, tiling.exchanges)


def leakage(cells: float, supply_v: float | None, delay_ns: float) -> Cost:
    """Return the leakage of 6T cells, and of as many gates like them, while a design computes.

    Proportional to the supply, at that of the table where it is unknown.
    """
    row = cost("sram_leakage")
    supply = row.voltage_v if supply_v is None else supply_v
    energy = cells * row.value * supply / row.voltage_v * delay_ns * 1e-9
    return Cost(energy, 0.0, (LEAKAGE_POWER, STEP_TIME))


def _dram_pj(bits: int) -> float:
    row = cost("dram_read")
    return bits * row.value / row.bits


def _share(
    layer: Layer, hardware: Hardware, energy_pj: float, delay_ns: float, exchanges: int
) -> Cost:
    stay: Any = np.where(exchanges > 0, 1, hardware.mapping.pixels_per_load)[()]
    share = stay * layer.applications
    return Cost(energy_pj / share, delay_ns / share, (LOADING_ENERGY, MEMORY_TIME))
