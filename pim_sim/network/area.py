"""Area of a chip and the cells that leak on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pim_sim.cost_model import calibrated
from pim_sim.cost_model.loading_and_leakage import leakage
from pim_sim.cost_model.macro_price import area_mm2
from pim_sim.hardware import Chip
from pim_sim.technology import GATES, cost, sram_cell_um2

_SUM_BITS = 8
"""Bits by which a sum of the core is wider than a product."""


def core_gates(chip: Chip) -> Any:
    """Return the gates, by area, of multipliers, accumulators, neuron units and their registers.

    A multiplier of b by b bits has b^2 full adders and as many gates, as that of a first layer.
    """
    core, events, neurons = chip.core, chip.events, chip.neurons
    bits, width = core.operand_bits, 2 * core.operand_bits + _SUM_BITS
    adder, register = GATES.adder_area, GATES.register_area
    kept = (core.weight_registers + core.input_registers) * bits + core.sum_registers * width
    gates = core.multipliers * (bits**2 * (adder + 1) + width * adder + kept * register)
    if events is not None:
        gates = gates + events.accumulators * width * (adder + events.sum_registers * register)
    leaky = neurons.leak_bits * width * (adder + 1)
    return gates + neurons.units * (leaky + width * (3 * adder + register))


def chip_area_mm2(chip: Chip) -> float:
    """Return the area of cores, buffers (half of them cells) and macros."""
    gate = cost("gate_area")
    logic = core_gates(chip) * gate.value * (chip.node_nm / gate.node_nm) ** 2
    memory = 2 * _buffer_bits(chip) * sram_cell_um2(chip.node_nm)
    macros = 0.0 if chip.macro is None else area_mm2(chip.macro, calibrated()) * chip.macro.copies
    return float((logic + memory) * 1e-6 + macros)


def leaking_cells(chip: Chip) -> float:
    """Return the cells that leak, and gates like them."""
    cells = core_gates(chip) + _buffer_bits(chip)
    if chip.macro is not None and chip.macro.array.kind.volatile:
        cells = cells + chip.macro.array.cells * chip.macro.copies
    return float(np.asarray(cells))


def leakage_pj_per_ns(chip: Chip) -> float:
    """Return the energy that a chip leaks in a nanosecond."""
    return leakage(leaking_cells(chip), chip.supply_v, 1.0).energy_pj


def _buffer_bits(chip: Chip) -> Any:
    return chip.activation_buffer.bits + chip.weight_buffer.bits + chip.core.line_buffer_bits
