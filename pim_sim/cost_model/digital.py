"""The digital side: multipliers that hold their weights, and the memory beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pim_sim.cost_model.costs import (
    ADD_ENERGY,
    MEMORY_ENERGY,
    MEMORY_TIME,
    MULTIPLY_ENERGY,
    MULTIPLY_TIME,
    Cost,
    total_delay_ns,
)
from pim_sim.cost_model.loading_and_leakage import (
    control_and_writes,
    input_cells,
    input_reads,
    leakage,
    sram_loading,
    sum_bits,
)
from pim_sim.cost_model.mapped_layer import Setup
from pim_sim.hardware import Digital
from pim_sim.technology import GATES, Node, sram_cell_um2
from pim_sim.workload import Layer, ceil_div

_COMPUTING = ("multiplies", "adds")


@dataclass(frozen=True)
class LayerOnMultipliers:
    """A layer on N_mult multipliers, each holding a weight while all positions pass."""

    setup: Setup
    engine: Digital

    def costs(self) -> dict[str, Cost]:
        """Return the cost of one application by component.

        The memory of weights and inputs and the gates of the multipliers leak.
        """
        layer, hardware = self.setup.layer, self.setup.hardware
        costs = self._array_costs()
        delay_ns = total_delay_ns(costs)
        costs |= control_and_writes(layer, hardware, costs, _COMPUTING)
        cells = layer.weights * layer.weight_bits + input_cells(layer)
        gates = self.engine.multipliers * multiplier_gates(layer)
        return {
            **costs,
            "weight_loading": sram_loading(layer, hardware),
            "leakage": leakage(cells + gates, hardware.supply_v, delay_ns),
        }

    def area_mm2(self) -> float:
        """Return the area of multipliers and of the memory of layer and input, half of it cells."""
        layer, node_nm = self.setup.layer, self.setup.hardware.node_nm
        gate_um2 = Node(node_nm, 1.0).gate_um2
        logic = self.engine.multipliers * multiplier_gates(layer) * gate_um2
        bits = layer.weights * layer.weight_bits + input_cells(layer)
        return (logic + 2 * bits * sram_cell_um2(node_nm)) * 1e-6

    def _array_costs(self) -> dict[str, Cost]:
        """Return the cost of multipliers and memory for one application.

        With passes = ceil(N_weights / N_mult) and H*W*D the output positions of a filter:

            delay = ceil(N_weights / ((B_IO / B_W) * N_bank)) * t_read + passes * H*W*D * t_mult

        as in the related papers of ACE-SNN's authors (Front. Neurosci. 16:815258, 2022), second
        hand. The energies are declared here:

            weight reads   ceil(N_weights * B_W / B_IO) * E_read
            input reads    readings * ceil(N_inputs * B_in / B_IO) * E_read / channels: line buffers
                           reuse the window, so each pass reads every value of the channels that
                           its weights touch once; overlapped, so no delay
            multiplies     MACs * density * E_mult * B_W * B_in / operand_bits^2: an array
                           multiplier grows with both operands, as Horowitz's int8 and int32 do
                           (0.2 and 3.1 pJ); none for spikes, which are only added
            adds           MACs * density * E_add * B_sum / operand_bits; within t_mult, so no delay

        A product with a zero input costs no energy, and its time, as in memory.
        """
        layer, memory, digital = self.setup.layer, self.setup.hardware.memory, self.engine
        passes = ceil_div(layer.weights, digital.multipliers)
        weight_bits = layer.weights * layer.weight_bits
        multiply_scale: Any = 1.0
        if digital.scaled:
            multiply_scale = layer.weight_bits * layer.input_bits / digital.operand_bits**2
        multiply_scale = np.where(layer.input_bits > 1, multiply_scale, 0.0)[()]
        products = layer.macs * layer.input_density
        reads = input_reads(layer, memory)
        return {
            "weight_reads": Cost(
                ceil_div(weight_bits, memory.word_bits) * memory.read_energy_pj,
                ceil_div(weight_bits, memory.word_bits * memory.banks) * memory.read_time_ns,
                (MEMORY_ENERGY, MEMORY_TIME),
            ),
            "input_reads": Cost(
                self._readings(passes) / layer.input_shape[0] * reads.energy_pj, 0.0, reads.by
            ),
            "multiplies": Cost(
                products * digital.multiply_energy_pj * multiply_scale,
                passes * layer.positions * digital.multiply_time_ns,
                (MULTIPLY_ENERGY, MULTIPLY_TIME),
            ),
            "adds": Cost(products * add_pj(layer, digital), 0.0, (ADD_ENERGY, MULTIPLY_TIME)),
        }

    def _readings(self, passes: int) -> int:
        """Return how often the inputs of one channel are read, over all channels and passes.

        Weights fill the multipliers in order, filter by filter and channel by channel. A pass with
        less than a whole sum meets some channels of its group; one with more meets all of them.
        """
        layer = self.setup.layer
        channels = layer.weight_shape[1]
        by_channel = self._meetings(passes, layer.filters * channels)
        by_group = self._meetings(passes, layer.groups) * channels
        readings: int = np.minimum(by_channel, by_group)
        return readings

    def _meetings(self, passes: int, blocks: int) -> Any:
        """Return the pairs of a pass and a block of weights that share weights."""
        layer, multipliers = self.setup.layer, np.asarray(self.engine.multipliers).astype(int)
        shared = np.lcm(layer.weights // blocks, multipliers)
        both_end: Any = (layer.weights - 1) // shared  # a block and a pass, in the same place
        return (passes + blocks - 1 - both_end)[()]


def add_pj(layer: Layer, digital: Digital) -> float:
    """Return the energy of one addition in a sum wide enough for ``fan_in`` products.

    Linear in bits, as Horowitz's int8 and int32 nearly are (0.03 and 0.1 pJ).
    """
    bits = sum_bits(layer) if digital.scaled else digital.operand_bits
    return digital.add_energy_pj * bits / digital.operand_bits


def multiplier_gates(layer: Layer) -> float:
    """Return the gates, by area, of a multiplier with its adder and registers.

    A multiplier of b by c bits has b c full adders and as many gates.
    """
    products, width = layer.weight_bits * layer.input_bits, sum_bits(layer)
    return products * (GATES.adder_area + 1) + width * (GATES.adder_area + GATES.register_area)
