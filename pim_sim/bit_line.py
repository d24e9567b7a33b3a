"""The bit-line arrays of ACE-SNN's kind: functional read, bit-line processing, conversion."""

from __future__ import annotations

from pim_sim.digital import add_pj, input_reads_pj
from pim_sim.hardware.adc import ADC
from pim_sim.hardware.parts import Array, Hardware
from pim_sim.mapping import Placement
from pim_sim.numeric import ceil_div
from pim_sim.results import Cost
from pim_sim.workload import Layer

BIT_LINES = ("functional_reads", "bit_line_processing", "conversions", "partial_sums")
"""Components of the arrays themselves, of `bit_line_costs`."""


def bit_line_costs(
    layer: Layer, hardware: Hardware, array: Array, adc: ADC, placement: Placement
) -> dict[str, Cost]:
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
        "partial_sums": Cost(partial_sums * add_pj(layer, hardware.digital), 0.0),
        "input_reads": Cost(input_reads_pj(layer, hardware), 0.0),
    }
