"""Price of one layer of a network on a chip: on a digital core, or in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pim_sim.cost_model import Cost, calibrated, macro_costs, tile
from pim_sim.cost_model.costs import (
    ADD_ENERGY,
    CONTROL_SHARE,
    LOADING_ENERGY,
    LOGIC_ENERGY,
    MEMORY_ENERGY,
    MEMORY_TIME,
    MULTIPLY_ENERGY,
    MULTIPLY_TIME,
    STEP_TIME,
)
from pim_sim.hardware import Buffer, Chip, Memory
from pim_sim.network.demand import Demand
from pim_sim.network.mappings import Counts
from pim_sim.network.schedules import Schedule, candidates
from pim_sim.schema import unchecked
from pim_sim.workload import Layer, ceil_div

Objective = Literal["energy", "latency", "edp"]
Place = Literal["digital", "events", "in memory"]
_COMPUTING = ("multiplies", "adds", "registers", "neurons", "activations")


@dataclass(frozen=True)
class LayerPrice:
    """One layer on a chip: energy and delay per pixel by component."""

    name: str
    place: Place
    mapping: str
    """Chosen mapping, in words."""
    costs: Mapping[str, Cost]
    weights_stay: bool = True
    """True for weights that are not loaded for every pixel."""


@dataclass(frozen=True)
class Loading:
    """Loading of a layer's weights."""

    resident: bool
    """True for weights that stay on the chip while pixel after pixel is classified."""
    loads_per_pixel: float
    """Loads that a pixel bears: its share of one, or all that it causes."""


def price_digital(
    demand: Demand,
    chip: Chip,
    loading: Loading,
    objective: Objective = "energy",
    schedule: Schedule = "best",
    leakage_pj_per_ns: float = 0.0,
) -> LayerPrice:
    """Price a layer with the best mapping of a schedule on the digital cores of a chip.

    The chip's leakage is not in the price, but a mapping is chosen with what leaks meanwhile.
    """
    best: tuple[float, LayerPrice] | None = None
    for found in candidates(demand, chip, schedule):
        counts = Counts(*found.table.T)
        score = score_of(digital_costs(demand, counts, chip, loading), objective, leakage_pj_per_ns)
        index = int(np.argmin(score))
        if best is None or score[index] < best[0]:
            costs = digital_costs(demand, Counts(*found.table[index]), chip, loading)
            place: Place = "digital" if found.splits is not None else "events"
            price = LayerPrice(demand.layer.name, place, found.words(index), costs)
            best = float(score[index]), price
    assert best is not None  # every schedule has a mapping of every layer
    return best[1]


def digital_costs(demand: Demand, counts: Counts, chip: Chip, loading: Loading) -> dict[str, Cost]:
    """Return the cost of a layer by component; arrays of counts or of prices give arrays.

    Computing, both buffers, the DRAM and the neuron units work at the same time: the delay is that
    of the slowest, and stands with its component.
    """
    layer, core = demand.layer, chip.core
    weights, values = chip.weight_buffer, chip.activation_buffer
    moved = counts.input_bits + counts.partial_bits + counts.membrane_bits + counts.output_bits
    times: dict[str, Any] = {
        "adds": counts.cycles * chip.clock_ns,
        "weight_reads": _transfer_ns(counts.weight_bits, weights, chip),
        "input_reads": _transfer_ns(moved, values, chip),
    }
    product_bits = layer.weight_bits * layer.input_bits
    energies: dict[str, Any] = {
        "multiplies": counts.multiplies
        * core.multiply_energy_pj
        * (product_bits / core.operand_bits**2),
        "adds": counts.adds * add_pj(demand.sum_bits, chip),
        "registers": counts.register_bits * core.register_energy_pj,
        "weight_reads": counts.weight_bits * _read_pj(weights)
        + counts.dram_bits * (chip.dram.bit_pj + _write_pj(weights)),
        "input_reads": counts.input_bits * _read_pj(values),
        "partial_sums": counts.partial_bits * (_read_pj(values) + _write_pj(values)) / 2,
        "membranes": counts.membrane_bits * (_read_pj(values) + _write_pj(values)) / 2,
        "output_writes": counts.output_bits * _write_pj(values),
        "links": (counts.weight_bits + moved) * chip.links.bit_energy_pj,
    }
    return _finished(demand, chip, energies, times, loading, counts.dram_bits)


def price_in_memory(demand: Demand, chip: Chip, macros: int, loading: Loading) -> LayerPrice:
    """Price a layer on macros of a chip, which exchange its weights where they do not stay.

    Positions are fused: all steps of a set of positions follow each other, so that membranes stay
    in the neuron units while weights do. Exchanged weights take one set of weights after another,
    for all positions and steps, with unfinished sums and membranes in the activation buffer.
    """
    assert chip.macro is not None  # checked by the network
    layer, values = demand.layer, chip.activation_buffer
    macro = unchecked(chip.macro, copies=macros)
    tiling = tile(layer, macro, chip.mapping)
    memory = Memory(word_bits=1, banks=1, read_energy_pj=1.0, read_time_ns=1.0)
    costs = macro_costs(layer, macro, memory, chip.mapping, tiling, calibrated())
    times_done = layer.applications
    exchanges = 1 if loading.resident else ceil_div(int(tiling.arrays), macros * macro.array.depth)
    columns, rows = min(int(tiling.column_tiles), exchanges), min(int(tiling.row_groups), exchanges)
    inputs = layer.inputs * layer.input_bits * times_done * columns
    partial = 2 * layer.outputs * times_done * (rows - 1) * demand.sum_bits
    membranes = 2 * demand.updates * demand.membrane_bits * (exchanges > 1)
    outputs = demand.written_outputs * demand.output_bits
    moved = inputs + partial + membranes + outputs
    energies: dict[str, Any] = {
        "input_reads": inputs * _read_pj(values),
        "partial_sums": partial * (_read_pj(values) + _write_pj(values)) / 2,
        "membranes": membranes * (_read_pj(values) + _write_pj(values)) / 2,
        "output_writes": outputs * _write_pj(values),
        "links": moved * chip.links.bit_energy_pj,
    }
    in_macros = {
        name: cost.times(times_done)
        for name, cost in costs.items()
        if name not in ("input_reads", "output_writes", "control")
    }
    slowest = max(in_macros, key=lambda name: in_macros[name].delay_ns)
    times: dict[str, Any] = {
        slowest: sum(cost.delay_ns for cost in in_macros.values()),
        "input_reads": _transfer_ns(moved, values, chip),
    }
    written = _written_bits(layer, chip, tiling.windows * tiling.copies)
    finished = _finished(
        demand, chip, energies, times, loading, 0.0, in_macros, written_bits=written
    )
    words = (
        f"{int(tiling.arrays)} arrays on {macros} macros, {int(tiling.windows)} positions at once, "
        f"{int(tiling.copies)} copies; "
    )
    words += "weights stay" if loading.resident else f"{exchanges} loads of weights per pixel"
    return LayerPrice(layer.name, "in memory", words, finished, loading.resident)


def add_pj(bits: float, chip: Chip) -> Any:
    """Return the energy of one addition of so many bits."""
    return chip.core.add_energy_pj * bits / chip.core.operand_bits


def neuron_pj(demand: Demand, chip: Chip) -> Any:
    """Return the energy of one update of a neuron.

    The membrane is multiplied by the leak; the current is added, the threshold compared and, at a
    spike, subtracted: three additions, and one write of the membrane's register.
    """
    bits, core = demand.membrane_bits, chip.core
    leak = core.multiply_energy_pj * bits * chip.neurons.leak_bits / core.operand_bits**2
    return leak + 3 * add_pj(bits, chip) + bits * core.register_energy_pj


def _finished(
    demand: Demand,
    chip: Chip,
    energies: dict[str, Any],
    times: dict[str, Any],
    loading: Loading,
    dram_bits: Any,
    in_macros: Mapping[str, Cost] | None = None,
    written_bits: float | None = None,
) -> dict[str, Cost]:
    """Add neurons, activations, control and loading, and put the delay at the slowest."""
    layer = demand.layer
    core = chip.core
    if demand.membrane_bits:
        energies["neurons"] = demand.updates * neuron_pj(demand, chip)
        times["neurons"] = ceil_div(demand.updates, chip.neurons.units) * chip.clock_ns
    elif not demand.integrates and demand.output_bits != demand.sum_bits:
        # a sum becomes the next layer's input: one scaling and one comparison per output
        scale = core.multiply_energy_pj * demand.sum_bits * demand.output_bits
        energy = scale / core.operand_bits**2 + add_pj(demand.sum_bits, chip)
        energies["activations"] = layer.outputs * energy
    weight_bits = layer.weights * layer.weight_bits
    written = weight_bits if written_bits is None else written_bits
    load_pj = weight_bits * chip.dram.bit_pj + written * _write_pj(chip.weight_buffer)
    energies["weight_loading"] = load_pj * loading.loads_per_pixel
    loaded = weight_bits * loading.loads_per_pixel
    times["weight_loading"] = (loaded + dram_bits) / chip.dram.bits_per_ns
    macros = dict(in_macros or {})
    computing = sum(cost.energy_pj for cost in macros.values())
    computing = computing + sum(energies[name] for name in _COMPUTING if name in energies)
    energies["control"] = CONTROL_SHARE * computing
    delay = np.maximum.reduce(np.broadcast_arrays(*times.values()))
    first = np.zeros(np.shape(delay), dtype=bool)
    delays: dict[str, Any] = {}
    for name, time in times.items():
        here = (time == delay) & ~first
        delays[name] = np.where(here, delay, 0.0)
        first = first | here
    found = {
        name: Cost(energy, delays.get(name, 0.0), _BY[name]) for name, energy in energies.items()
    }
    for name, cost in macros.items():
        found[name] = Cost(cost.energy_pj, delays.get(name, 0.0), cost.by)
    return found


_BY = {
    "multiplies": (MULTIPLY_ENERGY, MULTIPLY_TIME),
    "adds": (ADD_ENERGY, MULTIPLY_TIME),
    "registers": (LOGIC_ENERGY, MULTIPLY_TIME),
    "weight_reads": (MEMORY_ENERGY, MEMORY_TIME),
    "input_reads": (MEMORY_ENERGY, MEMORY_TIME),
    "partial_sums": (MEMORY_ENERGY, MEMORY_TIME),
    "membranes": (MEMORY_ENERGY, MEMORY_TIME),
    "output_writes": (MEMORY_ENERGY, MEMORY_TIME),
    "links": (LOGIC_ENERGY, MEMORY_TIME),
    "neurons": (ADD_ENERGY, MULTIPLY_TIME),
    "activations": (MULTIPLY_ENERGY, MULTIPLY_TIME),
    "weight_loading": (LOADING_ENERGY, MEMORY_TIME),
    "control": (LOGIC_ENERGY, STEP_TIME),
}


def _written_bits(layer: Layer, chip: Chip, copies: float) -> float:
    """Return the bits written into macros per load, with all copies and the cells for the sign."""
    assert chip.macro is not None
    array = chip.macro.array
    return layer.weights * layer.weight_bits * copies * array.row_signs * array.column_signs


def _transfer_ns(bits: Any, buffer: Buffer, chip: Chip) -> Any:
    return bits / (buffer.word_bits * buffer.words_per_cycle) * chip.clock_ns


def _read_pj(buffer: Buffer) -> Any:
    return buffer.read_energy_pj / buffer.word_bits


def _write_pj(buffer: Buffer) -> Any:
    return buffer.write_energy_pj / buffer.word_bits


def score_of(costs: Mapping[str, Cost], objective: Objective, leakage_pj_per_ns: float) -> Any:
    """Return the value to minimise; the other quantity decides between equals."""
    delay = sum(cost.delay_ns for cost in costs.values())
    leaking = (leakage_pj_per_ns + 1e-9) * delay
    energy = sum(cost.energy_pj for cost in costs.values()) + leaking
    if objective == "edp":
        return energy * delay
    return energy if objective == "energy" else delay + 1e-9 * energy
