"""A layer computed digitally and in memory, with the same memory and node.

Both designs hold the whole layer's weights. Every product is charged, those with zero inputs too.
What is charged for one application of the layer is charged once where the input repeats over the
time steps, and once a time step otherwise.

In memory stands either a bit-line array of ACE-SNN's kind (`pim_sim.bit_line`) or a macro
(`pim_sim.macro.layers`). Control, the memory of inputs and outputs, leakage and a pixel's share of
loading the weights are charged alike on both sides; only a file that says it is not complete, as
`ace_snn` with the paper's equations, has no control and no writing of outputs.
"""

from __future__ import annotations

from pim_sim.bit_line import BIT_LINES, bit_line_costs
from pim_sim.digital import (
    COMPUTING,
    digital_costs,
    digital_mm2,
    digital_upkeep,
    input_cells,
    overheads,
)
from pim_sim.hardware.adc import ADC
from pim_sim.hardware.parts import Array, Hardware
from pim_sim.interval import interval
from pim_sim.macro.description import Macro
from pim_sim.macro.energy import Scales
from pim_sim.macro.layers import leaking_cells, macro_costs
from pim_sim.macro.pricing import area_mm2, converter_um2
from pim_sim.macro.technology import sram_cell_um2
from pim_sim.macro.tiling import Tiling, tile
from pim_sim.mapping import Placement, place
from pim_sim.network import price_network
from pim_sim.numeric import higher
from pim_sim.results import Cost, Design, Report, Utilisation
from pim_sim.upkeep import leakage, macro_loading, sram_loading
from pim_sim.workload import Layer, Workload


def simulate(workload: Workload, hardware: Hardware) -> Report:
    """The first layer of ``workload``, digital and in memory, and the network with either.

    Raises `InputError` where the array or macro does not hold one weight of the layer.
    """
    first, *others = workload.layers
    return _report(first, others, hardware)


def simulate_layer(layer: Layer, hardware: Hardware) -> Report:
    """One layer, digital and in memory; `InputError` as `simulate`."""
    return _report(layer, [], hardware)


def both_sides(
    layer: Layer, hardware: Hardware, scales: Scales | None = None
) -> tuple[Design, Design]:
    """The layer digital and in memory; arrays in place of numbers give arrays (`pim_sim.sweep`)."""
    return _digital(layer, hardware, scales), _in_memory(layer, hardware, scales)[0]


def _report(layer: Layer, others: list[Layer], hardware: Hardware) -> Report:
    digital = _digital(layer, hardware, None)
    in_memory, utilisation = _in_memory(layer, hardware, None)
    return Report(
        hardware=hardware.name,
        layer=layer,
        digital=digital,
        in_memory=in_memory,
        utilisation=utilisation,
        interval=interval(digital, in_memory),
        network=price_network(others, hardware, digital.total, in_memory.total),
    )


def _digital(layer: Layer, hardware: Hardware, scales: Scales | None) -> Design:
    if hardware.digital_macro is not None:
        tiling = tile(layer, hardware.digital_macro, hardware.mapping)
        costs = _macro(layer, hardware, hardware.digital_macro, tiling, scales)
    else:
        costs = digital_costs(layer, hardware)
        costs |= overheads(layer, hardware, costs, COMPUTING)
        costs |= digital_upkeep(layer, hardware, _delay_ns(costs))
    return _repeated(costs, layer.applications, _digital_mm2(layer, hardware))


def _macro(
    layer: Layer, hardware: Hardware, macro: Macro, tiling: Tiling, scales: Scales | None
) -> dict[str, Cost]:
    costs = macro_costs(layer, macro, hardware.memory, hardware.mapping, tiling, scales)
    cells = leaking_cells(macro, tiling) + input_cells(layer)
    return {
        **costs,
        "weight_loading": macro_loading(layer, hardware, macro, tiling),
        "leakage": leakage(cells, macro.supply_v, _delay_ns(costs)),
    }


def _bit_lines(
    layer: Layer, hardware: Hardware, array: Array, adc: ADC, placement: Placement
) -> dict[str, Cost]:
    costs = bit_line_costs(layer, hardware, array, adc, placement)
    costs |= overheads(layer, hardware, costs, BIT_LINES)
    banks = higher(hardware.memory.banks, placement.arrays)
    cells = banks * array.rows * array.columns + input_cells(layer)
    return {
        **costs,
        "weight_loading": sram_loading(layer, hardware),
        "leakage": leakage(cells, hardware.supply_v, _delay_ns(costs)),
    }


def _delay_ns(costs: dict[str, Cost]) -> float:
    return sum(cost.delay_ns for cost in costs.values())


def _digital_mm2(layer: Layer, hardware: Hardware) -> float:
    if hardware.digital_macro is not None:
        return area_mm2(hardware.digital_macro) * hardware.digital_macro.copies
    return digital_mm2(layer, hardware)


def _in_memory(
    layer: Layer, hardware: Hardware, scales: Scales | None
) -> tuple[Design, Utilisation]:
    if hardware.macro is not None:
        tiling = tile(layer, hardware.macro, hardware.mapping)
        costs = _macro(layer, hardware, hardware.macro, tiling, scales)
        area = area_mm2(hardware.macro) * higher(hardware.macro.copies, tiling.arrays)
        return _repeated(costs, layer.applications, area), Utilisation(
            rows=tiling.row_utilisation,
            columns=tiling.column_utilisation,
            products_per_conversion=tiling.rows_summed,
            input_drives=tiling.input_drives,
            layout=tiling,
        )
    assert hardware.array is not None
    assert hardware.adc is not None
    placement = place(layer, hardware.array)
    costs = _bit_lines(layer, hardware, hardware.array, hardware.adc, placement)
    return _repeated(costs, layer.applications, _bit_line_mm2(hardware, placement)), Utilisation(
        rows=placement.row_utilisation,
        columns=placement.column_utilisation,
        products_per_conversion=layer.fan_in / placement.segments,
        input_drives=placement.reads * placement.columns_per_group
        / (placement.columns_per_weight * placement.input_steps * layer.inputs),
        layout=placement,
    )  # fmt: skip


def _bit_line_mm2(hardware: Hardware, placement: Placement) -> float:
    """Area of the cells of all banks, half of a memory, and of a converter for every group."""
    array, adc = hardware.array, hardware.adc
    assert array is not None
    assert adc is not None
    banks = higher(hardware.memory.banks, placement.arrays)
    cells = 2 * array.rows * array.columns * sram_cell_um2(hardware.node_nm)
    return banks * (cells + placement.groups_per_row * converter_um2(adc.bits)) * 1e-6


def _repeated(costs: dict[str, Cost], times: int, area: float) -> Design:
    components = {k: Cost(c.energy_pj * times, c.delay_ns * times) for k, c in costs.items()}
    return Design(components, area)
