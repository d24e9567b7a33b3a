"""Energy of one step of a macro, by component, from capacitances.

A step applies one slice of an input (a bit, a voltage or a train of pulses) to the rows and reads
every group of columns once. The energies are charged capacitance times supply squared; the
constants of `Scales` carry what the capacitances leave out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pim_sim.cost_model.costs import CONTROL_SHARE
from pim_sim.cost_model.scales import Scales
from pim_sim.hardware import READS, Macro, Step
from pim_sim.technology import GATES, Node, cost, rate_factor

# A chain of adders switches more than a tree, as late operands ripple through it: 1.5 times with
# four operands, 2.5 times with eight (Chandrakasan & Brodersen, Proc. IEEE 83(4), 1995; recalled).
_SHORT_CHAIN, _LONG_CHAIN = 1.5, 2.5

# The fits of converters hold for columns of this many rows and conversions of this many bits.
_ROWS, _BITS = 128, 5

_OVER_CAPACITANCE = {"capacitor": "array", "bit_line": "bit_line", "current": "current"}


def step_energies(
    macro: Macro, scales: Scales, rows: float, groups: float, cycle_ns: float
) -> dict[str, float]:
    """Return the energy in fJ of one step on ``rows`` inputs and ``groups`` of merged columns.

    ``cycle_ns`` sets the rate of the converters, which read every group once. Idle columns still
    hang on the driven rows; idle rows and the converters of idle groups spend nothing.
    """
    node = Node(macro.node_nm, macro.supply_v)
    columns = groups * macro.array.columns_merged * macro.array.column_signs
    steps = {
        "input_drivers": _drivers_fj(macro, rows) * scales.drivers,
        "dac": _dac_fj(macro, rows) * scales.dac,
        "cells": _cells_fj(macro, node, rows, columns, cycle_ns) * _cell_scale(macro, scales),
    }
    if macro.array.kind.analog:
        converters = conversion_fj(macro, scales, cycle_ns) * groups
        return {**steps, "adders": 0.0, "converters": converters}
    adders = _adders_fj(macro, node, rows) * groups * scales.logic
    return {**steps, "adders": adders, "converters": 0.0}


def control_fj(parts: dict[str, float]) -> float:
    """Return the energy of clock and control beside these components of a macro."""
    return CONTROL_SHARE * sum(parts.values())


def conversion_fj(macro: Macro, scales: Scales, cycle_ns: float) -> float:
    """Return the energy in fJ of one conversion; 0 without a converter.

    E = E_5 * 2^(k (bits - 5)) * (rows / 128)^r * rate(f), where E_5 scales with the node and the
    square of the supply and rate(f) is the growth of energy with the rate of conversions in the ADC
    survey, relative to 100 MS/s. Of a converter whose energy is stated, that one.
    """
    converter = macro.converter
    if converter is None:
        return 0.0
    if converter.energy_pj is not None:
        return converter.energy_pj * 1e3
    rate_hz = 1e9 * macro.conversions_in_turn / cycle_ns
    bits = _power(2.0, scales.converter_bits * (converter.bits - _BITS))
    rows = _power(macro.array.rows / _ROWS, scales.converter_rows)
    kind = scales.flash if converter.kind == "flash" else 1.0
    if macro.array.kind.read == "current":
        kind = kind * scales.read_circuit
    usual_fj = Node(macro.node_nm, macro.supply_v).conversion_fj * scales.converter
    return usual_fj * bits * rows * kind * rate_factor(rate_hz)


def near_memory_fj(macro: Macro, scales: Scales, sum_bits: int) -> float:
    """Return the energy in fJ to add one digital step to a sum of ``sum_bits`` bits and keep it.

    The sum moves past the operand bit by bit, so that adders and registers work on the bits of the
    operand and a carry, never on more than the sum has.
    """
    node = Node(macro.node_nm, macro.supply_v)
    if macro.converter is None:
        operand = macro.array.columns_merged + macro.row_bits
    else:
        operand = macro.converter.bits
    bits = np.minimum(operand + 1, sum_bits)
    gates = bits * (GATES.adder + GATES.register) / 2
    energy_fj: float = gates * node.gate_ff * macro.supply_v**2 * scales.logic
    return energy_fj


def _power(base: float, exponent: float) -> float:
    """Return a power by exp and log, several times faster on arrays."""
    power: float = np.exp(exponent * np.log(base))
    return power


def _cell_scale(macro: Macro, scales: Scales) -> float:
    """Return the scale of the cells: that of their law, of a plugin's law that of capacitors."""
    read = macro.array.kind.read
    if read == "logic":
        return scales.logic
    scale: float = getattr(scales, _OVER_CAPACITANCE.get(read, "array"))
    return scale


def _drivers_fj(macro: Macro, rows: float) -> float:
    lines = 1 if macro.array.kind.analog else macro.input.bits_per_step
    return rows * lines * _row_fj(macro) * macro.input.swings


def _dac_fj(macro: Macro, rows: float) -> float:
    """Return the energy of the DACs, each as strong as the line of its row is long."""
    if macro.input.encoding != "dac":
        return 0.0
    return rows * macro.input.bits_per_step * _row_fj(macro)


def _row_fj(macro: Macro) -> float:
    """Return the energy of one rise and fall of the lines of one row."""
    array = macro.array
    return macro.row_line_ff * array.columns * array.row_signs * macro.supply_v**2


def _cells_fj(macro: Macro, node: Node, rows: float, columns: float, cycle_ns: float) -> float:
    array = macro.array
    step = Step(
        rows=rows,
        columns=columns,
        row_signs=array.row_signs,
        depth=array.depth,
        supply_v=macro.supply_v,
        gate_ff=node.gate_ff,
        line_ff=node.line_ff(macro.cell_um2, 1) if array.line_ff is None else array.line_ff,
        unit_ff=cost("unit_capacitor").value if array.unit_ff is None else array.unit_ff,
        conductance_us=array.conductance_us,
        swing_v=array.swing_v,
        read_v=array.kind.read_v if array.read_v is None else array.read_v,
        read_ns=cycle_ns if array.read_ns is None else array.read_ns,
        swings=macro.input.swings,
        mean=macro.input.mean,
        input_bits=macro.input.bits_per_step,
        weight_density=macro.logic.weight_density,
    )
    return READS.get(array.kind.read)(array.kind, step)


def _adders_fj(macro: Macro, node: Node, rows: float) -> float:
    """Return the energy of adders and pipeline registers of one sum of a digital array in one step.

    A tree over R operands of b bits has R (b + 1) - (b + log2 R + 1) full adders; in a chain each
    row has one for every bit of the sum. A step of s input bits multiplies first: (s - 1) adders of
    the weight's bits per row, and operands s - 1 bits wider; Booth's code spares the former.
    """
    weight_bits, logic = macro.array.columns_merged, macro.logic
    more = macro.input.bits_per_step - 1
    bits, registers = weight_bits + more, 0.0
    if logic.adder == "tree":
        adders = np.maximum(0.0, rows * (bits + 1) - (bits + np.log(rows) / math.log(2) + 1))
    else:
        adders = rows * (bits + macro.row_bits)
        if logic.rows_per_register is not None:
            registers = adders / logic.rows_per_register
    if not logic.booth:
        adders = adders + rows * more * weight_bits
    gates = adders * GATES.adder * _activity(macro) + registers * GATES.register
    energy_fj: float = gates * node.gate_ff * node.supply_v**2
    return energy_fj


def _activity(macro: Macro) -> float:
    """Return the changes of an adder's output per step.

    A product is 1 as often as both its bits are, p, and so changes 2 p (1 - p) of the time.
    """
    one = macro.input.mean * macro.logic.weight_density
    changes = 2 * one * (1 - one)
    if macro.logic.adder == "tree":
        return changes
    operands = macro.logic.rows_per_register
    if operands is None:
        operands = macro.array.rows
    longer: Any = np.where(operands <= 4, _SHORT_CHAIN, _LONG_CHAIN)[()]
    changed: float = changes * longer
    return changed
