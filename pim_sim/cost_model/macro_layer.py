"""A layer on the macros of a chip: energy and delay of one application, by component."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pim_sim.cost_model.costs import Cost, macro_energy, macro_time, total_delay_ns
from pim_sim.cost_model.loading_and_leakage import (
    input_cells,
    input_reads,
    leakage,
    macro_loading,
    output_writes,
)
from pim_sim.cost_model.macro_energy import control_fj, near_memory_fj, step_energies
from pim_sim.cost_model.macro_layout import Tiling, configured_for, lay_out, tile
from pim_sim.cost_model.macro_price import area_mm2, step_time_ns
from pim_sim.cost_model.mapped_layer import Setup, Utilisation
from pim_sim.cost_model.scales import Scales
from pim_sim.hardware import Macro, Mapping, Memory
from pim_sim.schema import unchecked
from pim_sim.workload import Layer


@dataclass(frozen=True)
class LayerOnMacros:
    """A layer on the macros of a chip, which exchange the weights that they cannot keep."""

    setup: Setup
    engine: Macro

    @cached_property
    def layout(self) -> Tiling:
        """Layout on the macros; `InputError` where their columns do not hold one weight."""
        return tile(self.setup.layer, self.engine, self.setup.hardware.mapping)

    def costs(self) -> dict[str, Cost]:
        """Return the cost of one application by component."""
        layer, hardware = self.setup.layer, self.setup.hardware
        memory, mapping = hardware.memory, hardware.mapping
        costs = macro_costs(layer, self.engine, memory, mapping, self.layout, self.setup.scales)
        cells = self._leaking_cells() + input_cells(layer)
        return {
            **costs,
            "weight_loading": macro_loading(layer, hardware, self.engine, self.layout),
            "leakage": leakage(cells, self.engine.supply_v, total_delay_ns(costs)),
        }

    def area_mm2(self) -> float:
        """Return the area of the macros of the chip."""
        return area_mm2(self.engine, self.setup.scales) * self.engine.copies

    def utilisation(self) -> Utilisation:
        """Return the use of the macros."""
        return Utilisation(
            rows=self.layout.row_utilisation,
            columns=self.layout.column_utilisation,
            products_per_conversion=self.layout.rows_summed,
            input_drives=self.layout.input_drives,
            layout=self.layout,
        )

    def _leaking_cells(self) -> float:
        array = self.engine.array
        return array.cells * self.engine.copies if array.kind.volatile else 0


def macro_costs(
    layer: Layer,
    macro: Macro,
    memory: Memory,
    mapping: Mapping,
    tiling: Tiling,
    scales: Scales,
) -> dict[str, Cost]:
    """Return the cost of one application of ``layer``, laid out by `tile`, by component.

    Energies follow the macro model (`pim_sim.cost_model.macro_energy`): cells, adders and
    converters work for the products and outputs of the layer only, rows are driven as often as the
    layout drives them. Beside them: reads of every input value, once per set of filters that
    weights are exchanged for, as a line buffer keeps the window; and writes of every output sum. A
    step lasts as long as its slowest stage where the stages are pipelined, and as all of them where
    not; the delay stands with the slowest component, and everything else overlaps.
    """
    macro = _at_density(configured_for(macro, layer.input_bits, layer.weight_bits), layer)
    layout = lay_out(macro, layer.input_bits, layer.weight_bits)
    cycle_ns = step_time_ns(macro, mapping.pipelined, scales, layout.steps_converted)
    # one step for one output: the rows of one row group, the columns of one weight
    rows = tiling.rows_summed
    step = step_energies(macro, scales, rows, layout.groups_per_weight, cycle_ns)
    outputs = layer.outputs * tiling.row_groups * layout.steps
    drives = tiling.input_drives * layer.inputs * layout.steps
    added_fj = near_memory_fj(macro, scales, layout.sum_bits)
    energies = {
        "input_drivers": step["input_drivers"] / rows * drives,
        "dac": step["dac"] / rows * drives,
        "cells": step["cells"] * outputs,
        "adders": step["adders"] * outputs,
        "converters": step["converters"] / layout.groups_per_weight * tiling.conversions,
        "shift_and_add": added_fj * tiling.additions,
    }
    energies["control"] = control_fj(energies)
    readings: Any = np.maximum(1.0, np.minimum(tiling.column_tiles, tiling.exchanges))
    delay_ns = tiling.rounds * tiling.steps * cycle_ns
    slowest = "converters" if macro.converts else "adders"
    by = (macro_energy(macro), macro_time(macro))
    return {
        **{
            name: Cost(energy * 1e-3, delay_ns if name == slowest else 0.0, by)
            for name, energy in energies.items()
        },
        "input_reads": input_reads(layer, memory).times(readings),
        "output_writes": output_writes(layer, memory),
    }


def _at_density(macro: Macro, layer: Layer) -> Macro:
    """Return the macro with inputs of the layer, which are zero as often as measured.

    A bit that is not zero is 1; another input that is not zero has the mean of the layer, or of the
    macro's file where the layer has none.
    """
    own = macro.input.mean if layer.input_mean is None else layer.input_mean
    mean = np.where(layer.input_bits > 1, own, 1.0)[()] * layer.input_density
    return unchecked(macro, input=unchecked(macro.input, mean=mean))
