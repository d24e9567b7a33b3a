"""Price of one macro at full use: energy, throughput and area for given bits."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pim_sim.cost_model.costs import LEVEL, Constant, macro_area, macro_energy, macro_time
from pim_sim.cost_model.macro_energy import control_fj, near_memory_fj, step_energies
from pim_sim.cost_model.macro_layout import configured_for, lay_out
from pim_sim.cost_model.scales import Scales, calibrated
from pim_sim.hardware import Macro
from pim_sim.hardware.macro import ConverterKind
from pim_sim.schema import check_integer, plain_numbers
from pim_sim.technology import GATES, Node, pitch_ratio, sram_cell_um2

_ROWS, _BITS, _NODE_NM = 128, 5, 28.0
_CONVERTER_UM2 = 150.0
"""A converter of 5 bits at 28 nm: ZigZag's law has 338 um2, the share of 13 % of Wang's 8 bits 126
per doubling less."""
_ROW_END_CELLS = 10
"""Areas of a 6T cell at the end of a row, per bit of its input."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """Figures of one macro at full use."""

    tops_per_watt: float
    """Tera-operations per joule, two per multiply-accumulate."""
    tops: float
    tops_per_mm2: float
    energy_per_mac_fj: float
    cycle_ns: float
    """Time of one step."""
    area_mm2: float
    breakdown_fj: dict[str, float]
    """Energy per multiply-accumulate, by component."""
    interval: dict[str, Any]
    """80 % intervals, by the name of the figure, and their level."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, ready for JSON."""
        return asdict(self)


def price(macro: Macro, input_bits: int, weight_bits: int, scales: Scales | None = None) -> Price:
    """Price a macro and its copies with every row and column at work on these bits.

    ``scales`` are those fitted to the measured chips unless given. Raises `InputError` for bits
    outside 1 to 16 or a weight that does not fit.
    """
    check_integer("input bits", input_bits, 1, 16)
    check_integer("weight bits", weight_bits, 1, 16)
    scales = calibrated() if scales is None else scales
    breakdown = {
        name: float(energy)
        for name, energy in energies_per_mac(macro, input_bits, weight_bits, scales).items()
    }
    configured = configured_for(macro, input_bits, weight_bits)
    layout = lay_out(configured, input_bits, weight_bits)
    cycle_ns = cycle_time_ns(configured, scales, layout.steps_converted)
    macs = macro.array.rows * layout.weights_per_row
    energy_fj = sum(breakdown.values())
    tops = 2e-3 * macs * macro.copies / (cycle_ns * layout.steps)
    area = area_mm2(macro, scales) * macro.copies
    found = Price(
        tops_per_watt=2e3 / energy_fj,
        tops=tops,
        tops_per_mm2=tops / area,
        energy_per_mac_fj=energy_fj,
        cycle_ns=cycle_ns,
        area_mm2=area,
        breakdown_fj=breakdown,
        interval={},
    )
    plain = plain_numbers(found)
    return replace(plain, interval=_intervals(plain, macro))


def _intervals(found: Price, macro: Macro) -> dict[str, Any]:
    """Return 80 % intervals of the figures, from what left-out chips missed."""
    energy, time, area = macro_energy(macro), macro_time(macro), macro_area(macro)
    return {
        "level": LEVEL,
        "tops_per_watt": _within(found.tops_per_watt, energy),
        "energy_per_mac_fj": _within(found.energy_per_mac_fj, energy),
        "tops": _within(found.tops, time),
        "cycle_ns": _within(found.cycle_ns, time),
        "area_mm2": _within(found.area_mm2, area),
        "tops_per_mm2": _within(found.tops_per_mm2, time, area),
    }


def _within(value: float, *constants: Constant) -> list[float]:
    spread = math.exp(math.hypot(*(math.log(constant.spread) for constant in constants)))
    return [value / spread, value * spread]


def energies_per_mac(
    macro: Macro, input_bits: int, weight_bits: int, scales: Scales
) -> dict[str, float]:
    """Return the energy of a multiply-accumulate in fJ by component, control last.

    A conversion, and its addition, serve `Input.steps_per_conversion` steps.
    """
    macro = configured_for(macro, input_bits, weight_bits)
    layout = lay_out(macro, input_bits, weight_bits)
    macs = macro.array.rows * layout.weights_per_row
    groups = layout.weights_per_row * layout.groups_per_weight
    cycle_ns = cycle_time_ns(macro, scales, layout.steps_converted)
    energies = step_energies(macro, scales, macro.array.rows, groups, cycle_ns)
    parts = {name: energy * layout.steps / macs for name, energy in energies.items()}
    parts["converters"] *= layout.steps_converted
    sums = layout.weights_per_row * layout.additions
    parts["shift_and_add"] = near_memory_fj(macro, scales, layout.sum_bits) * sums / macs
    return {**parts, "control": control_fj(parts)}


def cycle_time_ns(
    macro: Macro, scales: Scales | None = None, steps_converted: float = 1.0
) -> float:
    """Return the mean time of one step without pipelining, as `step_time_ns`."""
    return step_time_ns(macro, False, scales, steps_converted)


def step_time_ns(
    macro: Macro, pipelined: bool, scales: Scales | None = None, steps_converted: float = 1.0
) -> float:
    """Return the mean time of one step, as given or of its stages.

    The stages follow one another, or the slowest counts where they are pipelined. ``scales`` are
    those fitted to the measured chips unless given; ``steps_converted`` is the share of steps
    that a conversion follows.
    """
    if macro.cycle_ns is not None:
        return macro.cycle_ns
    stages = stage_times_ns(macro, calibrated() if scales is None else scales)
    if "conversions" in stages:
        stages["conversions"] *= steps_converted
    times = list(stages.values())
    slowest: float = functools.reduce(np.maximum, times) if pipelined else sum(times)
    return slowest


def stage_times_ns(macro: Macro, scales: Scales) -> dict[str, float]:
    """Return the times of the stages of one step that is converted.

    Analog: the line settles, the longer the more rows it has; an input of pulses takes those beyond
    its first; the converters make their conversions in turn, of one decision per bit (sar), one
    (flash) or one per level (ramp). Digital: the adders one after another, 2 XOR per row of a chain
    or level of a tree, and the carry, 2 gates per bit.
    """
    node = Node(macro.node_nm, macro.supply_v)
    if macro.converter is None:
        return {"adders": _adders_ns(macro, node) * scales.logic_time}
    slower = pitch_ratio(_NODE_NM, macro.node_nm) * node.slowdown
    if macro.array.kind.read == "current":
        slower = slower * scales.current_time
    rows = np.exp(scales.settle_rows * np.log(macro.array.rows / _ROWS))
    bits = macro.converter.bits
    decisions = {"sar": bits, "flash": 1, "ramp": 2.0**bits}[macro.converter.kind]
    conversions = scales.decision * decisions * macro.conversions_in_turn
    return {
        "settling": scales.settle * rows * slower,
        "pulses": scales.pulse * node.gate_ns * (macro.input.pulses - 1),
        "conversions": conversions * slower,
    }


def _adders_ns(macro: Macro, node: Node) -> float:
    width = macro.array.columns_merged + macro.row_bits + macro.input.bits_per_step - 1
    levels = macro.logic.rows_per_register
    if macro.logic.adder == "tree":
        levels = np.maximum(macro.row_bits - 1, 0)
    elif levels is None:
        levels = macro.array.rows
    xor = GATES.xor_delay
    return (levels * 2 * xor + (xor + 2) + 2 * (width - 1)) * node.gate_ns


def area_mm2(macro: Macro, scales: Scales | None = None) -> float:
    """Return the area of one macro: as given, or of its parts.

    ``scales`` are those fitted to the measured chips unless given.
    """
    if macro.area_mm2 is not None:
        return macro.area_mm2
    parts = areas_um2(macro, calibrated() if scales is None else scales)
    return sum(parts.values()) * 1e-6


def areas_um2(macro: Macro, scales: Scales) -> Mapping[str, float]:
    """Return the area of each part of one macro, with its share of the rest.

    Of the words that share a place, one has the part that multiplies; on a bit line or read by
    current every word is a whole cell.
    """
    array, kind = macro.array, macro.array.kind
    memory_um2 = sram_cell_um2(macro.node_nm)
    places = array.rows * array.row_signs * array.columns
    word_um2 = macro.cell_um2 if kind.read in ("bit_line", "current") else memory_um2
    cells = places * (macro.cell_um2 + (array.depth - 1) * word_um2)
    bits = macro.input.bits_per_step
    drivers = array.rows * array.row_signs * _ROW_END_CELLS * bits * memory_um2
    scale = scales.cell_area * (scales.bit_line_area if kind.read == "bit_line" else 1.0)
    parts = {"cells": cells * scale, "drivers": drivers * scales.driver_area}
    if macro.converter is not None:
        converter = macro.converter
        one = converter_um2(converter.bits, macro.node_nm, scales, converter.kind)
        parts["converters"] = macro.converters * one
    elif not macro.chained:
        parts["adders"] = _tree_um2(macro) * scales.logic_area
    whole = scales.whole_area * (scales.current_area if kind.read == "current" else 1.0)
    return {name: area * whole for name, area in parts.items()}


def converter_um2(
    bits: int,
    node_nm: float = _NODE_NM,
    scales: Scales | None = None,
    kind: ConverterKind = "sar",
) -> float:
    """Return the area of a converter, proportional to the cell pitch.

    Its logic shrinks with the square of the pitch, its capacitors hardly. Per bit it grows by a
    fitted power of two; that of a flash converter, with a comparator per level, doubles.
    """
    scales = calibrated() if scales is None else scales
    doublings = 1.0 if kind == "flash" else scales.converter_area_bits
    per_bit = np.exp(doublings * math.log(2) * (bits - _BITS))
    area_um2: float = _CONVERTER_UM2 * scales.converter_area * per_bit
    return area_um2 * pitch_ratio(_NODE_NM, node_nm)


def _tree_um2(macro: Macro) -> float:
    """Return the area of the adders of all groups, their products and their sums."""
    rows, bits = macro.array.rows, macro.array.columns_merged
    more = macro.input.bits_per_step - 1
    depth = np.log(rows) / math.log(2)
    wide = bits + more
    adders = np.maximum(rows * (wide + 1) - (wide + depth + 1), 0)
    if not macro.logic.booth:
        adders = adders + rows * more * bits
    registers = (wide + depth) * 2 * GATES.register_area
    gates = adders * GATES.adder_area + registers + rows * bits * macro.input.bits_per_step
    area_um2: float = macro.groups * gates * Node(macro.node_nm, macro.supply_v).gate_um2
    return area_um2
