"""A layer on the macros of a chip: energy and delay of one application, by component."""

from __future__ import annotations

from pim_sim.digital import sum_bits
from pim_sim.hardware.parts import Mapping, Memory
from pim_sim.macro.calibration import calibrated
from pim_sim.macro.description import Macro
from pim_sim.macro.energy import CONTROL_SHARE, Scales, near_memory_fj, step_energies
from pim_sim.macro.pricing import fitted, step_time_ns, use
from pim_sim.macro.tiling import Tiling
from pim_sim.numeric import altered, ceil_div, choose, higher
from pim_sim.results import Cost
from pim_sim.workload import Layer


def macro_costs(
    layer: Layer,
    macro: Macro,
    memory: Memory,
    mapping: Mapping,
    tiling: Tiling,
    scales: Scales | None = None,
) -> dict[str, Cost]:
    """One application of ``layer``, laid out by `tile`; scales as fitted to chips unless given.

    Energies follow the macro model (`pim_sim.macro.energy`): cells, adders and converters work for
    the products and outputs of the layer alone, rows are driven as often as the layout drives them.
    Beside them: reads of every input value, once a drive that the layout does not share; writes of
    every output sum. A step lasts as long as its
    slowest stage where the stages are pipelined, and as all of them where not; delay stands with
    the steps, and everything else overlaps.
    """
    scales = calibrated() if scales is None else scales
    macro = _at_density(fitted(macro, layer.input_bits, layer.weight_bits), layer)
    laid = use(macro, layer.input_bits, layer.weight_bits)
    cycle_ns = step_time_ns(macro, mapping.pipelined)
    # one step for one output: the rows of one row group, the columns of one weight
    rows = tiling.rows_summed
    step = step_energies(macro, scales, rows, laid.groups_per_weight, cycle_ns)
    outputs = layer.outputs * tiling.row_groups * laid.steps
    drives = tiling.input_drives * layer.inputs * laid.steps
    converted = tiling.conversions / (outputs * laid.groups_per_weight)
    energies = {
        "input_drivers": step["input_drivers"] / rows * drives,
        "dac": step["dac"] / rows * drives,
        "cells": step["cells"] * outputs,
        "adders": step["adders"] * outputs,
        "converters": step["converters"] * outputs * converted,
        "shift_and_add": near_memory_fj(macro, scales, laid.sum_bits) * tiling.additions,
    }
    energies["control"] = CONTROL_SHARE * sum(energies.values())
    delay_ns = tiling.rounds * tiling.steps * cycle_ns
    costs = {name: Cost(energy * 1e-3, 0.0) for name, energy in energies.items()}
    slowest = "adders" if macro.converter is None else "converters"
    costs[slowest] = Cost(costs[slowest].energy_pj, delay_ns)
    return {
        **costs,
        "input_reads": Cost(_words(layer.inputs * layer.input_bits, memory), 0.0),
        "output_writes": Cost(_words(layer.outputs * sum_bits(layer), memory), 0.0),
    }


def leaking_cells(macro: Macro, tiling: Tiling) -> int:
    """Cells that leak, of all macros of the chip and of those that the layer takes."""
    if macro.array.cell == "rram":
        return 0  # nothing holds its state by a supply
    cells = macro.array.rows * macro.array.row_signs * macro.array.columns * macro.array.depth
    return cells * higher(macro.copies, tiling.arrays)


def _words(bits: int, memory: Memory) -> float:
    """Energy of moving so many bits to or from the memory, in pJ."""
    return ceil_div(bits, memory.word_bits) * memory.read_energy_pj


def _at_density(macro: Macro, layer: Layer) -> Macro:
    """Inputs of one bit are 1 as often as the layer measured; others spread over their range."""
    mean = choose(layer.input_bits > 1, macro.input.mean, layer.input_density)
    return altered(macro, input=altered(macro.input, mean=mean))
