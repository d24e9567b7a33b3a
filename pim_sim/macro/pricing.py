"""A macro alone at full use: energy, throughput and area for inputs and weights of given bits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pim_sim.checks import check_integer
from pim_sim.components import cost
from pim_sim.errors import InputError
from pim_sim.macro.calibration import calibrated
from pim_sim.macro.description import Macro
from pim_sim.macro.energy import Scales, cell_area, near_memory_fj, step_energies
from pim_sim.macro.technology import (
    ADDER_GATE_AREAS,
    REGISTER_GATE_AREAS,
    XOR_DELAYS,
    Technology,
)
from pim_sim.numeric import altered, ceil_div, exp, higher, log, lower, lowest, power_of_two

_ARRAY_SHARE_OF_AREA = 0.7
"""Cells and what converts, of a macro's whole area; the rest is drivers, control and wiring (Wang:
control 11 % and drivers within its 46 % of arrays; NeuRRAM: drivers 21 %, the rest 39 %)."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """How inputs and weights of some bits lie on a macro."""

    steps: int
    """Steps that one input takes."""
    columns_per_weight: int
    """Columns of cells that one weight takes, without those for its sign."""
    groups_per_weight: int
    """Groups of merged columns, so conversions a step, of one weight."""
    weights_per_row: int
    """Weights beside each other, so filters, of one array."""
    conversions: int
    """Conversions for one output, of all steps and groups."""
    additions: int
    """Digital additions that put those together."""
    sum_bits: int
    """Bits of the digital sum."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What `pim-sim macro` prints."""

    tops_per_watt: float
    """Tera-operations a joule, two for each multiply-accumulate."""
    tops: float
    tops_per_mm2: float
    energy_per_mac_fj: float
    cycle_ns: float
    """Time of one step."""
    area_mm2: float
    breakdown_fj: dict[str, float]
    """Energy of one multiply-accumulate by component."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


def fitted(macro: Macro, input_bits: int, weight_bits: int) -> Macro:
    """The macro as it is set for these bits.

    A step never applies more bits than the input has, and a chain of adders makes its weights as
    wide as they are: its columns hold the bits of a weight and those its sum grows by.
    """
    bits = lower(macro.input.bits_per_step, input_bits)
    macro = altered(macro, input=altered(macro.input, bits_per_step=bits))
    if macro.array.cell == "digital" and macro.logic.adder == "chain":
        macro = altered(macro, array=altered(macro.array, columns_merged=weight_bits))
    return macro


def use(macro: Macro, input_bits: int, weight_bits: int) -> Use:
    """Lay inputs and weights of these bits on a macro that `fitted` returned.

    Raises `InputError` where its columns do not hold one weight.
    """
    array, entry = macro.array, macro.input
    magnitude = higher(1, input_bits - 1) if entry.sign_magnitude else input_bits
    steps = ceil_div(magnitude, entry.bits_per_step)
    groups = ceil_div(weight_bits, array.bits_per_cell * array.columns_merged)
    weights = macro.groups // groups
    if lowest(weights) < 1:
        expected = f"columns for a weight of {weight_bits} bits"
        raise InputError(f"array.columns: found {array.columns}, expected {expected}")
    conversions = groups * ceil_div(steps, entry.steps_per_conversion)
    if macro.converter is not None:
        additions = conversions - 1
        sum_bits = macro.converter.bits + weight_bits + input_bits - 1
    else:
        additions = conversions
        sum_bits = weight_bits + macro.row_bits + input_bits - 1
    return Use(
        steps=steps,
        columns_per_weight=groups * array.columns_merged,
        groups_per_weight=groups,
        weights_per_row=weights,
        conversions=conversions,
        additions=additions if macro.logic.shift_and_add else 0,
        sum_bits=sum_bits,
    )


def columns_needed(macro: Macro, weight_bits: int) -> int:
    """Columns that one weight takes on a macro, with those for its sign and for its sum."""
    array = macro.array
    if array.cell == "digital" and macro.logic.adder == "chain":
        return (weight_bits + macro.row_bits) * array.column_signs
    merged = array.bits_per_cell * array.columns_merged
    return ceil_div(weight_bits, merged) * array.columns_merged * array.column_signs


def price(macro: Macro, input_bits: int, weight_bits: int, scales: Scales | None = None) -> Price:
    """Every row and column of a macro and its copies at work on inputs and weights of these bits.

    ``scales`` are those fitted to the measured chips unless given. Raises `InputError` for bits
    outside 1 to 16 or a weight that does not fit.
    """
    check_integer("input bits", input_bits, 1, 16)
    check_integer("weight bits", weight_bits, 1, 16)
    scales = calibrated() if scales is None else scales
    macro = fitted(macro, input_bits, weight_bits)
    laid = use(macro, input_bits, weight_bits)
    cycle_ns = cycle_time_ns(macro)
    macs = macro.array.rows * laid.weights_per_row
    groups = laid.weights_per_row * laid.groups_per_weight
    energies = step_energies(macro, scales, macro.array.rows, groups, cycle_ns)
    breakdown = {name: energy * laid.steps / macs for name, energy in energies.items()}
    breakdown["converters"] *= laid.conversions / (laid.steps * laid.groups_per_weight)
    sums = laid.weights_per_row * laid.additions
    breakdown["shift_and_add"] = near_memory_fj(macro, scales, laid.sum_bits) * sums / macs
    energy_fj = sum(breakdown.values())
    tops = 2e-3 * macs * macro.copies / (cycle_ns * laid.steps)
    area = area_mm2(macro) * macro.copies
    return Price(
        tops_per_watt=2e3 / energy_fj,
        tops=tops,
        tops_per_mm2=tops / area,
        energy_per_mac_fj=energy_fj,
        cycle_ns=cycle_ns,
        area_mm2=area,
        breakdown_fj=breakdown,
    )


def cycle_time_ns(macro: Macro) -> float:
    """Time of one step without pipelining, as `step_time_ns`."""
    return step_time_ns(macro, pipelined=False)


def step_time_ns(macro: Macro, pipelined: bool) -> float:
    """Time of one step: as given, or of its stages one after another, or of the slowest.

    Analog stages: the input (a pulse lasts twenty gate delays) and the conversions in turn, a
    decision taking 0.00653 ns a row and 0.640 ns at 28 nm (ZigZag's law). Digital: the adders one
    after another, 2 XOR a row of a chain or a level of a tree, and the carry, 2 gates a bit.
    """
    if macro.cycle_ns is not None:
        return macro.cycle_ns
    tech = Technology(macro.node_nm, macro.supply_v)
    if macro.converter is None:
        return _digital_cycle_ns(macro, tech)
    decision = (0.00653 * macro.array.rows + 0.640) * macro.node_nm / 28 * tech.slowdown
    bits = macro.converter.bits
    decisions = {"sar": bits, "flash": 1, "ramp": power_of_two(bits)}[macro.converter.kind]
    pulsed = "pulse" in macro.input.encoding
    pulses = power_of_two(macro.input.bits_per_step) - 1 if pulsed else 1
    stages = decision * decisions * macro.conversions_in_turn, 20 * tech.gate_ns * pulses
    return higher(*stages) if pipelined else sum(stages)


def _digital_cycle_ns(macro: Macro, tech: Technology) -> float:
    rows, bits = macro.array.rows, macro.array.columns_merged
    depth = macro.row_bits
    if macro.logic.adder == "tree":
        levels, width = higher(depth - 1, 0), bits + depth
    else:
        levels, width = (macro.logic.rows_per_register or rows), bits + depth
    return (levels * 2 * XOR_DELAYS + (XOR_DELAYS + 2) + 2 * (width - 1)) * tech.gate_ns


def area_mm2(macro: Macro) -> float:
    """Area of one macro: as given, or of cells, converters and adders with what surrounds them."""
    if macro.area_mm2 is not None:
        return macro.area_mm2
    tech, array = Technology(macro.node_nm, macro.supply_v), macro.array
    cells = array.rows * array.row_signs * array.columns * array.depth * cell_area(macro, tech)
    if macro.converter is None:
        extra = 0.0 if macro.logic.adder == "chain" else _tree_um2(macro, tech)
    else:
        count = macro.converters
        extra = count * converter_um2(macro.converter.bits)
    return (cells + extra) / _ARRAY_SHARE_OF_AREA * 1e-6


def converter_um2(bits: int) -> float:
    """Area of a converter after ZigZag: 10^(-0.0369 bits + 1.206) 2^bits um2.

    Its capacitors do not shrink with the node, and neither do printed areas of 8 bits (1,007 um2
    at 22 nm, 1,940 at 65, 1,270 at 130): the law of 28 nm is used at every node.
    """
    return exp((-0.0369 * bits + 1.206) * log(10)) * power_of_two(bits)


def _tree_um2(macro: Macro, tech: Technology) -> float:
    rows, bits = macro.array.rows, macro.array.columns_merged
    depth = log(rows) / log(2)
    adders = higher(rows * (bits + 1) - (bits + depth + 1), 0)
    gates = adders * ADDER_GATE_AREAS + (bits + depth) * 2 * REGISTER_GATE_AREAS + rows * bits
    return macro.groups * gates * cost("gate_area").value * (macro.node_nm / 28) ** 2
