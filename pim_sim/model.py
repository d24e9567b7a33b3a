"""The analytic model: one layer computed digitally and in memory, with the same memory and node.

Both designs hold the whole layer's weights in SRAM. Left out on both sides: writing the weights and
the outputs, control, leakage, and registers between input memory and operands. Every product is
charged, those with zero inputs too. What is charged for one application of the layer is charged
once where the input repeats over the time steps, and once a time step otherwise.
"""

from __future__ import annotations

from pim_sim.hardware.parts import Digital, Hardware
from pim_sim.mapping import Placement, ceil_div, place
from pim_sim.results import Cost, Design, Report
from pim_sim.workload import Layer, Workload


def simulate(workload: Workload, hardware: Hardware) -> Report:
    """The first layer of ``workload``, digital and in memory.

    Raises `InputError` where a row of the array does not hold one weight of the layer.
    """
    return simulate_layer(workload.layers[0], hardware)


def simulate_layer(layer: Layer, hardware: Hardware) -> Report:
    """One layer, digital and in memory; `InputError` as `simulate`."""
    placement = place(layer, hardware.array)
    return Report(
        hardware=hardware.name,
        layer=layer,
        digital=_repeated(digital_costs(layer, hardware), layer.applications),
        in_memory=_repeated(in_memory_costs(layer, hardware, placement), layer.applications),
        placement=placement,
    )


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
    multiply_scale = layer.weight_bits * layer.input_bits / digital.operand_bits**2
    return {
        "weight_reads": Cost(
            ceil_div(weight_bits, memory.word_bits) * memory.read_energy_pj,
            ceil_div(weight_bits, memory.word_bits * memory.banks) * memory.read_time_ns,
        ),
        "input_reads": Cost(passes * _input_reads_pj(layer, hardware), 0.0),
        "multiplies": Cost(
            layer.macs * digital.multiply_energy_pj * multiply_scale,
            passes * layer.positions * digital.multiply_time_ns,
        ),
        "adds": Cost(layer.macs * _add_pj(layer, digital), 0.0),
    }


def in_memory_costs(layer: Layer, hardware: Hardware, placement: Placement) -> dict[str, Cost]:
    """One application on N_bank arrays that compute at the same time.

    A functional read, the bit-line processing of all columns and the conversion of all column
    groups follow each other, so with rounds = ceil(reads / N_bank):

        delay = rounds * (t_functional_read + t_BLP + t_ADC)

    The three steps are ACE-SNN's (Front. Neurosci. 16:815258, 2022), second hand; their
    arrangement is ours to declare (`pim_sim.mapping`), and so are the energies:

        functional reads      reads * columns * E_functional_read: unused columns discharge too
        bit-line processing   products * E_BLP, a weight's columns and input steps counted apart
        conversions           conversions * E_ADC
        partial sums          one digital addition for each conversion of an output after the first;
                              overlapped, so no delay
        input reads           ceil(N_inputs * B_in / B_IO) * E_read, once for all filters;
                              overlapped, so no delay
    """
    array, adc = hardware.array, hardware.adc
    rounds = ceil_div(placement.reads, hardware.memory.banks)
    products = layer.macs * placement.columns_per_weight * placement.input_steps
    adc_ns = adc.conversion_time_ns(hardware.node_nm, placement.columns_per_group)
    adc_pj = adc.conversion_energy_pj(hardware.node_nm, adc_ns)
    partial_sums = placement.conversions - layer.outputs
    return {
        "functional_reads": Cost(
            placement.reads * array.columns * array.functional_read_energy_pj,
            rounds * array.functional_read_time_ns,
        ),
        "bit_line_processing": Cost(
            products * array.accumulate_energy_pj, rounds * array.accumulate_time_ns
        ),
        "conversions": Cost(placement.conversions * adc_pj, rounds * adc_ns),
        "partial_sums": Cost(partial_sums * _add_pj(layer, hardware.digital), 0.0),
        "input_reads": Cost(_input_reads_pj(layer, hardware), 0.0),
    }


def _repeated(costs: dict[str, Cost], times: int) -> Design:
    return Design({k: Cost(c.energy_pj * times, c.delay_ns * times) for k, c in costs.items()})


def _input_reads_pj(layer: Layer, hardware: Hardware) -> float:
    """Energy of reading every input value of one application once."""
    words = ceil_div(layer.inputs * layer.input_bits, hardware.memory.word_bits)
    return words * hardware.memory.read_energy_pj


def _add_pj(layer: Layer, digital: Digital) -> float:
    """Energy of one addition in a sum wide enough for ``fan_in`` products.

    Linear in bits, as Horowitz's int8 and int32 nearly are (0.03 and 0.1 pJ).
    """
    sum_bits = layer.weight_bits + layer.input_bits + (layer.fan_in - 1).bit_length()
    return digital.add_energy_pj * sum_bits / digital.operand_bits
