"""Energy of one step of a macro, by component, from capacitances.

A step applies one slice of an input (a bit, a voltage or a train of pulses) to the rows and reads
every group of columns once. The energies are charged capacitance times supply squared; four scale
factors, one for each kind of circuit, carry what the capacitances leave out (`Scales`).
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

# A flash comparator has no capacitive converter and no register after it; in a converter by
# successive approximation these spend about as much as the comparator (assumed).
_FLASH_DECISION = 0.5


def step_energies(
    macro: Macro, scales: Scales, rows: float, groups: float, cycle_ns: float
) -> dict[str, float]:
    """Return the energy in fJ of one step on ``rows`` inputs and ``groups`` of merged columns.

    ``cycle_ns`` sets the rate of the converters. Idle columns still hang on the driven rows; idle
    rows and the converters of idle groups spend nothing.
    """
    node = Node(macro.node_nm, macro.supply_v)
    columns = groups * macro.array.columns_merged * macro.array.column_signs
    steps = {
        "input_drivers": _drivers_fj(macro, rows) * scales.array,
        "dac": _dac_fj(macro, node, rows) * scales.dac,
    }
    if macro.array.kind.analog:
        steps |= {
            "cells": _cells_fj(macro, node, rows, columns) * scales.array,
            "adders": 0.0,
            "converters": conversion_fj(macro, cycle_ns) * groups * scales.converter,
        }
    else:
        steps |= {
            "cells": _cells_fj(macro, node, rows, columns) * scales.logic,
            "adders": _adders_fj(macro, node, rows) * groups * scales.logic,
            "converters": 0.0,
        }
    return {**steps, "control": CONTROL_SHARE * sum(steps.values())}


def conversion_fj(macro: Macro, cycle_ns: float) -> float:
    """Return the energy in fJ of one conversion, without its scale factor; 0 without a converter.

    E = (C_d * decisions * node / 28 nm + C_n * 4^bits) * V^2 * rate(f), as ZigZag's law, where the
    decisions are one per bit (sar), 2^bits - 1 (flash) or half of 2^bits (ramp), and rate(f) is the
    growth of energy with the rate of conversions in the ADC survey, relative to 100 MS/s. A
    decision of a flash converter is a comparator only and counts half.
    """
    converter = macro.converter
    if converter is None:
        return 0.0
    if converter.energy_pj is not None:
        return converter.energy_pj * 1e3
    levels = 2.0**converter.bits
    decisions = {
        "sar": converter.bits,
        "flash": (levels - 1) * _FLASH_DECISION,
        "ramp": levels / 2,
    }[converter.kind]
    noise = cost("converter_noise").value * levels**2 * macro.supply_v**2
    rate_hz = 1e9 * macro.conversions_in_turn / cycle_ns
    decision_fj = Node(macro.node_nm, macro.supply_v).decision_fj
    return (decision_fj * decisions + noise) * rate_factor(rate_hz)


def near_memory_fj(macro: Macro, scales: Scales, sum_bits: int) -> float:
    """Return the energy in fJ to add one digital step to a sum of ``sum_bits`` bits and keep it."""
    node = Node(macro.node_nm, macro.supply_v)
    gates = sum_bits * (GATES.adder / 2 + GATES.register)
    return gates * node.gate_ff * macro.supply_v**2 * scales.logic


def _drivers_fj(macro: Macro, rows: float) -> float:
    array = macro.array
    line_ff = macro.row_line_ff * array.columns * array.row_signs
    lines = 1 if array.kind.analog else macro.input.bits_per_step
    return rows * lines * line_ff * macro.supply_v**2 * macro.input.swings


def _dac_fj(macro: Macro, node: Node, rows: float) -> float:
    if macro.input.encoding != "dac":
        return 0.0
    return rows * node.dac_fj(macro.input.bits_per_step)


def _cells_fj(macro: Macro, node: Node, rows: float, columns: float) -> float:
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
        read_v=array.read_v,
        read_ns=array.read_ns,
        swings=macro.input.swings,
        mean=macro.input.mean,
        input_bits=macro.input.bits_per_step,
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
