"""The digital side: multipliers that hold their weights, and the memory beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pim_sim.components import cost
from pim_sim.hardware.parts import Digital, Hardware
from pim_sim.macro.energy import CONTROL_SHARE
from pim_sim.macro.technology import ADDER_GATE_AREAS, REGISTER_GATE_AREAS, sram_cell_um2
from pim_sim.numeric import ceil_div
from pim_sim.results import Cost
from pim_sim.upkeep import leakage, sram_loading
from pim_sim.workload import Layer

COMPUTING = ("multiplies", "adds")
"""Components of the multipliers themselves, of `digital_costs`."""


def digital_costs(layer: Layer, hardware: Hardware) -> dict[str, Cost]:
    """One application on N_mult multipliers, each holding a weight while all positions pass.

    With passes = ceil(N_weights / N_mult) and H*W*D the output positions of a filter:

        delay = ceil(N_weights / ((B_IO / B_W) * N_bank)) * t_read + passes * H*W*D * t_mult

    as in the related papers of ACE-SNN's authors (Front. Neurosci. 16:815258, 2022), second hand.
    The energies are ours to declare:

        weight reads   ceil(N_weights * B_W / B_IO) * E_read
        input reads    passes * ceil(N_inputs * B_in / B_IO) * E_read: line buffers reuse the
                       window, so each pass reads an input value once; overlapped, so no delay
        multiplies     MACs * E_mult * B_W * B_in / operand_bits^2: an array multiplier grows with
                       both operands, as Horowitz's int8 and int32 do (0.2 and 3.1 pJ)
        adds           MACs * E_add * B_sum / operand_bits; within t_mult, so no delay
    """
    memory, digital = hardware.memory, hardware.digital
    passes = ceil_div(layer.weights, digital.multipliers)
    weight_bits = layer.weights * layer.weight_bits
    multiply_scale = 1.0
    if digital.scaled:
        multiply_scale = layer.weight_bits * layer.input_bits / digital.operand_bits**2
    return {
        "weight_reads": Cost(
            ceil_div(weight_bits, memory.word_bits) * memory.read_energy_pj,
            ceil_div(weight_bits, memory.word_bits * memory.banks) * memory.read_time_ns,
        ),
        "input_reads": Cost(passes * input_reads_pj(layer, hardware), 0.0),
        "multiplies": Cost(
            layer.macs * digital.multiply_energy_pj * multiply_scale,
            passes * layer.positions * digital.multiply_time_ns,
        ),
        "adds": Cost(layer.macs * add_pj(layer, digital), 0.0),
    }


def overheads(
    layer: Layer, hardware: Hardware, costs: Mapping[str, Cost], computing: Collection[str]
) -> dict[str, Cost]:
    """Writing the outputs of one application, and control; nothing where the file is not complete.

    Control is a share of the components that are ``computing``; both overlap, so no delay.
    """
    if not hardware.complete:
        return {}
    control = CONTROL_SHARE * sum(costs[name].energy_pj for name in computing)
    return {
        "control": Cost(control, 0.0),
        "output_writes": Cost(output_writes_pj(layer, hardware), 0.0),
    }


def digital_upkeep(layer: Layer, hardware: Hardware, delay_ns: float) -> dict[str, Cost]:
    """Loading of the weights and leakage of one application that takes ``delay_ns``.

    What leaks are the memory of weights and inputs and the gates of the multipliers.
    """
    cells = layer.weights * layer.weight_bits + input_cells(layer)
    gates = hardware.digital.multipliers * multiplier_gates(layer)
    return {
        "weight_loading": sram_loading(layer, hardware),
        "leakage": leakage(cells + gates, hardware.supply_v, delay_ns),
    }


def input_cells(layer: Layer) -> int:
    """Cells of the memory that keeps the inputs of one application."""
    return layer.inputs * layer.input_bits


def input_reads_pj(layer: Layer, hardware: Hardware) -> float:
    """Energy of reading every input value of one application once."""
    words = ceil_div(layer.inputs * layer.input_bits, hardware.memory.word_bits)
    return words * hardware.memory.read_energy_pj


def add_pj(layer: Layer, digital: Digital) -> float:
    """Energy of one addition in a sum wide enough for ``fan_in`` products.

    Linear in bits, as Horowitz's int8 and int32 nearly are (0.03 and 0.1 pJ).
    """
    bits = sum_bits(layer) if digital.scaled else digital.operand_bits
    return digital.add_energy_pj * bits / digital.operand_bits


def output_writes_pj(layer: Layer, hardware: Hardware) -> float:
    """Energy of writing every output sum of one application once; a write costs a read."""
    words = ceil_div(layer.outputs * sum_bits(layer), hardware.memory.word_bits)
    return words * hardware.memory.read_energy_pj


def sum_bits(layer: Layer) -> int:
    """Bits of a sum wide enough for ``fan_in`` products."""
    return layer.weight_bits + layer.input_bits + (layer.fan_in - 1).bit_length()


def digital_mm2(layer: Layer, hardware: Hardware) -> float:
    """Area of the multipliers and of the memory of layer and input; cells are half of a memory."""
    gate = cost("gate_area")
    gate_um2 = gate.value * (hardware.node_nm / gate.node_nm) ** 2
    logic = hardware.digital.multipliers * multiplier_gates(layer) * gate_um2
    bits = layer.weights * layer.weight_bits + input_cells(layer)
    return (logic + 2 * bits * sram_cell_um2(hardware.node_nm)) * 1e-6


def multiplier_gates(layer: Layer) -> float:
    """Gates, by area, of a multiplier with its adder and registers.

    A multiplier of b by c bits has b c full adders and as many gates.
    """
    products, width = layer.weight_bits * layer.input_bits, sum_bits(layer)
    return products * (ADDER_GATE_AREAS + 1) + width * (ADDER_GATE_AREAS + REGISTER_GATE_AREAS)
