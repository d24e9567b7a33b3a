"""Price of one macro at full use: energy, throughput and area for given bits."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pim_sim.cost_model.macro_energy import near_memory_fj, step_energies
from pim_sim.cost_model.macro_layout import configured_for, lay_out
from pim_sim.cost_model.scales import Scales, calibrated
from pim_sim.hardware import Macro
from pim_sim.schema import check_integer, plain_numbers
from pim_sim.technology import GATES, Node, cost

_ARRAY_SHARE_OF_AREA = 0.7
"""Cells and converters, of a macro's whole area; the rest is drivers, control and wiring (Wang:
control 11 % and drivers within its 46 % of arrays; NeuRRAM: drivers 21 %, the rest 39 %)."""


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
    macro = configured_for(macro, input_bits, weight_bits)
    layout = lay_out(macro, input_bits, weight_bits)
    cycle_ns = cycle_time_ns(macro)
    macs = macro.array.rows * layout.weights_per_row
    groups = layout.weights_per_row * layout.groups_per_weight
    energies = step_energies(macro, scales, macro.array.rows, groups, cycle_ns)
    breakdown = {name: energy * layout.steps / macs for name, energy in energies.items()}
    breakdown["converters"] *= layout.conversions / (layout.steps * layout.groups_per_weight)
    sums = layout.weights_per_row * layout.additions
    breakdown["shift_and_add"] = near_memory_fj(macro, scales, layout.sum_bits) * sums / macs
    breakdown = {name: float(energy) for name, energy in breakdown.items()}
    energy_fj = sum(breakdown.values())
    tops = 2e-3 * macs * macro.copies / (cycle_ns * layout.steps)
    area = area_mm2(macro) * macro.copies
    found = Price(
        tops_per_watt=2e3 / energy_fj,
        tops=tops,
        tops_per_mm2=tops / area,
        energy_per_mac_fj=energy_fj,
        cycle_ns=cycle_ns,
        area_mm2=area,
        breakdown_fj=breakdown,
    )
    return plain_numbers(found)


def cycle_time_ns(macro: Macro) -> float:
    """Return the time of one step without pipelining, as `step_time_ns`."""
    return step_time_ns(macro, pipelined=False)


def step_time_ns(macro: Macro, pipelined: bool) -> float:
    """Return the time of one step: as given, or of its stages one after another, or of the slowest.

    Analog stages: the input (a pulse lasts twenty gate delays) and the conversions in turn, with
    0.00653 ns per row and 0.640 ns per decision at 28 nm (ZigZag's law). Digital: the adders one
    after another, 2 XOR per row of a chain or level of a tree, and the carry, 2 gates per bit.
    """
    if macro.cycle_ns is not None:
        return macro.cycle_ns
    node = Node(macro.node_nm, macro.supply_v)
    if macro.converter is None:
        return _digital_cycle_ns(macro, node)
    decision = (0.00653 * macro.array.rows + 0.640) * macro.node_nm / 28 * node.slowdown
    bits = macro.converter.bits
    decisions = {"sar": bits, "flash": 1, "ramp": 2.0**bits}[macro.converter.kind]
    conversions = decision * decisions * macro.conversions_in_turn
    pulses = 20 * node.gate_ns * macro.input.pulses
    slowest: float = np.maximum(conversions, pulses)
    return slowest if pipelined else conversions + pulses


def _digital_cycle_ns(macro: Macro, node: Node) -> float:
    width = macro.array.columns_merged + macro.row_bits
    levels = macro.logic.rows_per_register
    if macro.logic.adder == "tree":
        levels = np.maximum(macro.row_bits - 1, 0)
    elif levels is None:
        levels = macro.array.rows
    xor = GATES.xor_delay
    return (levels * 2 * xor + (xor + 2) + 2 * (width - 1)) * node.gate_ns


def area_mm2(macro: Macro) -> float:
    """Return the area of one macro: as given, or of cells, converters and adders with the rest."""
    if macro.area_mm2 is not None:
        return macro.area_mm2
    if macro.converter is not None:
        extra = macro.converters * converter_um2(macro.converter.bits)
    else:
        extra = 0.0 if macro.chained else _tree_um2(macro)
    return (macro.array.cells * macro.cell_um2 + extra) / _ARRAY_SHARE_OF_AREA * 1e-6


def converter_um2(bits: int) -> float:
    """Return the area of a converter after ZigZag: 10^(-0.0369 bits + 1.206) 2^bits um2.

    Its capacitors do not shrink with the node, and neither do printed areas of 8 bits (1,007 um2
    at 22 nm, 1,940 at 65, 1,270 at 130): the law of 28 nm is used at every node.
    """
    area_um2: float = np.exp((-0.0369 * bits + 1.206) * math.log(10)) * 2.0**bits
    return area_um2


def _tree_um2(macro: Macro) -> float:
    rows, bits = macro.array.rows, macro.array.columns_merged
    depth = np.log(rows) / math.log(2)
    adders = np.maximum(rows * (bits + 1) - (bits + depth + 1), 0)
    registers = (bits + depth) * 2 * GATES.register_area
    gates = adders * GATES.adder_area + registers + rows * bits
    area_um2: float = macro.groups * gates * cost("gate_area").value * (macro.node_nm / 28) ** 2
    return area_um2
