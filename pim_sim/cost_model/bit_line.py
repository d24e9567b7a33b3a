"""A layer on bit-line arrays: functional read, bit-line processing, conversion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pim_sim.cost_model.bit_line_layout import Placement, place
from pim_sim.cost_model.costs import (
    ADD_ENERGY,
    ARRAY_TIME,
    BIT_LINE_ENERGY,
    CONVERSION_TIME,
    Cost,
    conversion_energy,
    total_delay_ns,
)
from pim_sim.cost_model.digital import add_pj
from pim_sim.cost_model.loading_and_leakage import (
    control_and_writes,
    input_cells,
    input_reads,
    leakage,
    sram_loading,
)
from pim_sim.cost_model.macro_price import converter_um2
from pim_sim.cost_model.mapped_layer import Setup, Utilisation
from pim_sim.hardware import BitLineArray
from pim_sim.technology import sram_cell_um2
from pim_sim.workload import ceil_div

_COMPUTING = ("functional_reads", "bit_line_processing", "conversions", "partial_sums")


@dataclass(frozen=True)
class LayerOnBitLines:
    """A layer on N_bank arrays that compute at the same time."""

    setup: Setup
    engine: BitLineArray

    @cached_property
    def layout(self) -> Placement:
        """Layout on the arrays; `InputError` where a row does not hold one weight."""
        return place(self.setup.layer, self.engine.array)

    def costs(self) -> dict[str, Cost]:
        """Return the cost of one application by component."""
        costs = self._array_costs()
        costs |= control_and_writes(self.setup.layer, self.setup.hardware, costs, _COMPUTING)
        banks = self.setup.hardware.memory.banks
        cells = banks * self.engine.array.rows * self.engine.array.columns
        leaking = cells + input_cells(self.setup.layer)
        return {
            **costs,
            "weight_loading": sram_loading(
                self.setup.layer, self.setup.hardware, self._copies, self._exchanges
            ),
            "leakage": leakage(leaking, self.setup.hardware.supply_v, total_delay_ns(costs)),
        }

    def area_mm2(self) -> float:
        """Return the area of the cells of all banks, half of a memory, and of the converters."""
        array = self.engine.array
        cells = 2 * array.rows * array.columns * sram_cell_um2(self.setup.hardware.node_nm)
        converters = self.layout.groups_per_row * converter_um2(
            self.engine.adc_bits, self.setup.hardware.node_nm, self.setup.scales
        )
        return self.setup.hardware.memory.banks * (cells + converters) * 1e-6

    def utilisation(self) -> Utilisation:
        """Return the use of the arrays."""
        layer, layout = self.setup.layer, self.layout
        return Utilisation(
            rows=layout.row_utilisation,
            columns=layout.column_utilisation,
            products_per_conversion=layer.fan_in / layout.segments,
            input_drives=layout.reads * layout.columns_per_group
            / (layout.columns_per_weight * layout.input_steps * layer.inputs),
            layout=layout,
        )  # fmt: skip

    @property
    def _copies(self) -> int:
        """Copies of the weights, each on banks of its own, that share the reads."""
        copies: int = np.maximum(1, self.setup.hardware.memory.banks // self.layout.arrays)
        return copies

    @property
    def _exchanges(self) -> int:
        """Loads of weights per pixel; 0 where the banks keep them."""
        banks, arrays = self.setup.hardware.memory.banks, self.layout.arrays
        loads: Any = np.where(arrays > banks, ceil_div(arrays, banks), 0)
        exchanges: int = loads[()]
        return exchanges

    def _array_costs(self) -> dict[str, Cost]:
        """Return the cost of the arrays for one application.

        A functional read, the bit-line processing of all columns and the conversion of all column
        groups follow each other, so with rounds = ceil(reads / banks), of the banks that hold the
        weights or a copy of them:

            delay = rounds * (t_functional_read + t_BLP + t_ADC)

        The three steps are ACE-SNN's (Front. Neurosci. 16:815258, 2022), second hand; their
        arrangement is declared here (`bit_line_layout`), and so are the energies:

            functional reads      reads * columns * E_functional_read: unused columns discharge too
            bit-line processing   products * E_BLP, a weight's columns and input steps separately
            conversions           conversions * E_ADC
            partial sums          one digital addition for each conversion of an output after the
                                  first; overlapped, so no delay
            input reads           ceil(N_inputs * B_in / B_IO) * E_read, once for all filters that
                                  the banks hold; overlapped, so no delay
        """
        layer, hardware = self.setup.layer, self.setup.hardware
        layout, array, adc = self.layout, self.engine.array, self.engine.adc
        working = np.minimum(hardware.memory.banks, layout.arrays * self._copies)
        rounds = ceil_div(layout.reads, working)
        rows_of_filters = ceil_div(layer.filters, layout.groups_per_row)
        readings: Any = np.maximum(1, np.minimum(self._exchanges, rows_of_filters))
        products = layer.macs * layout.columns_per_weight * layout.input_steps
        adc_ns = adc.conversion_time_ns(hardware.node_nm, layout.columns_per_group)
        adc_pj = adc.conversion_energy_pj(hardware.node_nm, adc_ns)
        partial_sums = layout.conversions - layer.outputs
        return {
            "functional_reads": Cost(
                layout.reads * array.columns * array.functional_read_energy_pj,
                rounds * array.functional_read_time_ns,
                (BIT_LINE_ENERGY, ARRAY_TIME),
            ),
            "bit_line_processing": Cost(
                products * array.accumulate_energy_pj,
                rounds * array.accumulate_time_ns,
                (BIT_LINE_ENERGY, ARRAY_TIME),
            ),
            "conversions": Cost(
                layout.conversions * adc_pj,
                rounds * adc_ns,
                (conversion_energy(adc), CONVERSION_TIME),
            ),
            "partial_sums": Cost(
                partial_sums * add_pj(layer, hardware.digital),
                0.0,
                (ADD_ENERGY, ARRAY_TIME),
            ),
            "input_reads": input_reads(layer, hardware.memory).times(readings),
        }
