"""Energy of one step of a macro, by component, from capacitances.

A step applies one slice of an input (a bit, a voltage or a train of pulses) to the rows and reads
every group of columns once. The energies are charged capacitance times supply squared; four scale
factors, one for each kind of circuit, carry what the capacitances leave out (`Scales`).
"""

from __future__ import annotations

from dataclasses import dataclass

from pim_sim.components import cost
from pim_sim.components.survey import rate_factor
from pim_sim.macro.description import Macro
from pim_sim.macro.technology import ADDER_GATES, REGISTER_GATES, Technology
from pim_sim.numeric import choose, higher, log, lower, power_of_two

# A chain of adders switches more than a tree, as late operands ripple through it: 1.5 times with
# four operands, 2.5 times with eight (Chandrakasan & Brodersen, Proc. IEEE 83(4), 1995; recalled).
_SHORT_CHAIN, _LONG_CHAIN = 1.5, 2.5

# A flash comparator has no capacitive converter and no register behind it; in a converter by
# successive approximation these spend about as much as the comparator (assumed).
_FLASH_DECISION = 0.5

CONTROL_SHARE = 0.05
"""Clock and control as a share of the rest: 4 % of Wang's macro, 3.5 % of Colonnade's decoder,
7.5 % of its control and registers."""


@dataclass(frozen=True)
class Scales:
    """What measured chips spend for each kind of circuit, against the capacitances here."""

    array: float = 1.0
    """Cells, bit lines and the lines that drive the rows."""
    converter: float = 1.0
    """Analog-to-digital converters."""
    dac: float = 1.0
    """Digital-to-analog converters."""
    logic: float = 1.0
    """Gates, adders and registers."""


def step_energies(
    macro: Macro, scales: Scales, rows: float, groups: float, cycle_ns: float
) -> dict[str, float]:
    """Energy in fJ of one step on ``rows`` inputs and ``groups`` of merged columns.

    ``cycle_ns`` sets the rate of the converters. Idle columns still hang on the driven rows; idle
    rows and the converters of idle groups spend nothing.
    """
    tech = Technology(macro.node_nm, macro.supply_v)
    columns = groups * macro.array.columns_merged * macro.array.column_signs
    analog = macro.array.cell != "digital"
    steps = {
        "input_drivers": _drivers_fj(macro, tech, rows) * scales.array,
        "dac": _dac_fj(macro, tech, rows) * scales.dac,
        "cells": _cells_fj(macro, tech, rows, columns) * (scales.array if analog else scales.logic),
        "adders": 0.0 if analog else _adders_fj(macro, tech, rows) * groups * scales.logic,
        "converters": conversion_fj(macro, cycle_ns) * groups * scales.converter if analog else 0.0,
    }
    return {**steps, "control": CONTROL_SHARE * sum(steps.values())}


def conversion_fj(macro: Macro, cycle_ns: float) -> float:
    """Energy in fJ of one conversion, without its scale factor.

    E = (C_d * decisions * node / 28 nm + C_n * 4^bits) * V^2 * rate(f), as ZigZag's law, where the
    decisions are one a bit (sar), 2^bits - 1 (flash) or half of 2^bits (ramp), and rate(f) is how
    energy grows with the rate of conversions in the ADC survey, relative to 100 MS/s. A decision of
    a flash converter is a comparator alone and counts half.
    """
    converter = macro.converter
    assert converter is not None
    if converter.energy_pj is not None:
        return converter.energy_pj * 1e3
    tech = Technology(macro.node_nm, macro.supply_v)
    levels = power_of_two(converter.bits)
    decisions = {
        "sar": converter.bits,
        "flash": (levels - 1) * _FLASH_DECISION,
        "ramp": levels / 2,
    }[converter.kind]
    noise = cost("converter_noise").value * levels**2 * macro.supply_v**2
    rate_hz = 1e9 * macro.conversions_in_turn / cycle_ns
    return (tech.decision_fj * decisions + noise) * rate_factor(rate_hz)


def near_memory_fj(macro: Macro, scales: Scales, sum_bits: int) -> float:
    """Energy in fJ to add one digital step to a sum of ``sum_bits`` bits and keep it."""
    tech = Technology(macro.node_nm, macro.supply_v)
    gates = sum_bits * (ADDER_GATES / 2 + REGISTER_GATES)
    return gates * tech.gate_ff * macro.supply_v**2 * scales.logic


def swings(macro: Macro) -> float:
    """How often the line of a row rises and falls in one step, in whole supplies squared."""
    mean, bits = macro.input.mean, macro.input.bits_per_step
    match macro.input.encoding:
        case "pulse_count":
            return mean * (power_of_two(bits) - 1)
        case "pulse_width":
            return choose(mean > 0, 1.0, 0.0)
        case "dac":
            return mean**2 + 1 / 12  # mean square of a value spread evenly around its mean
    return mean


def _drivers_fj(macro: Macro, tech: Technology, rows: float) -> float:
    array = macro.array
    loads = {"sram_6t": 2, "sram_8t": 1, "charge": 2, "c2c": 0, "rram": 2, "digital": 2}
    load = loads[array.cell] * (2 if _is_chain(macro) else 1)
    per_cell = tech.line_ff(cell_area(macro, tech), load)
    line_ff = per_cell * array.columns * array.row_signs
    lines = macro.input.bits_per_step if array.cell == "digital" else 1
    return rows * lines * line_ff * tech.supply_v**2 * swings(macro)


def _dac_fj(macro: Macro, tech: Technology, rows: float) -> float:
    if macro.input.encoding != "dac":
        return 0.0
    return rows * tech.dac_fj(macro.input.bits_per_step)


def _cells_fj(macro: Macro, tech: Technology, rows: float, columns: float) -> float:
    array = macro.array
    line_ff = tech.line_ff(cell_area(macro, tech), 1) if array.line_ff is None else array.line_ff
    unit_ff = cost("unit_capacitor").value if array.unit_ff is None else array.unit_ff
    supply = tech.supply_v
    cells = rows * columns * array.row_signs
    if array.cell == "charge":
        # the product drives the capacitor through the cell's own gate, the size of two
        return cells * (unit_ff + 2 * tech.gate_ff + line_ff) * supply**2 * swings(macro)
    if array.cell == "c2c":
        # a bit of the ladder is C to its cell and 2C along it
        return cells * (3 * unit_ff + line_ff) * supply**2 * swings(macro)
    if array.cell == "rram":
        conductance = array.conductance_us
        if conductance is None:
            conductance = cost("rram_conductance").value
        charge = conductance * array.read_ns + line_ff
        return cells * charge * array.read_v**2 * swings(macro)
    if array.cell == "digital":
        # a NOR a bit; the weight stands still, so only one of its two inputs moves
        product = tech.gate_ff / 2 * supply**2 * macro.input.mean
        return cells * product * macro.input.bits_per_step
    fall = supply / 2 if array.swing_v is None else array.swing_v
    depth = macro.array.depth
    return columns * rows * depth * line_ff * supply * fall * lower(1.0, 2 * macro.input.mean)


def _adders_fj(macro: Macro, tech: Technology, rows: float) -> float:
    """Adders and pipeline registers of one sum of a digital array in one step.

    A tree over R operands of b bits has R (b + 1) - (b + log2 R + 1) full adders; in a chain each
    row has one for every bit of the sum. A step of s input bits multiplies first: (s - 1) adders of
    the weight's bits a row, and operands s - 1 bits wider; Booth's code spares the former.
    """
    weight_bits, more, logic = (
        macro.array.columns_merged,
        macro.input.bits_per_step - 1,
        macro.logic,
    )
    bits, registers = weight_bits + more, 0.0
    if logic.adder == "tree":
        adders = higher(0.0, rows * (bits + 1) - (bits + log(rows) / log(2) + 1))
    else:
        adders = rows * (bits + macro.row_bits)
        if logic.rows_per_register:
            registers = adders / logic.rows_per_register
    if not logic.booth:
        adders += rows * more * weight_bits
    gates = adders * ADDER_GATES * _activity(macro) + registers * REGISTER_GATES
    return gates * tech.gate_ff * tech.supply_v**2


def _activity(macro: Macro) -> float:
    """How often an adder's output changes in a step.

    A product is 1 as often as both its bits are, p, and so changes 2 p (1 - p) of the time.
    """
    one = macro.input.mean * macro.logic.weight_density
    changes = 2 * one * (1 - one)
    if macro.logic.adder == "tree":
        return changes
    operands = macro.logic.rows_per_register or macro.array.rows
    return changes * (_SHORT_CHAIN if operands <= 4 else _LONG_CHAIN)


def cell_area(macro: Macro, tech: Technology) -> float:
    """Area of a cell in um2: as given, or the usual one of its kind."""
    array = macro.array
    if array.cell_um2 is not None:
        return array.cell_um2
    return tech.cell_um2("digital_chain" if _is_chain(macro) else array.cell)


def _is_chain(macro: Macro) -> bool:
    return macro.array.cell == "digital" and macro.logic.adder == "chain"
