"""Schedules: the order of time, and mappings that take inputs one by one and skip the zeros.

Spikes are added on the event-driven accumulators; values of more bits are multiplied and added on
the multipliers of the core, whose registers then hold the sums.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from pim_sim.errors import InputError
from pim_sim.hardware import Chip
from pim_sim.network.demand import Demand
from pim_sim.network.mappings import Candidates, Counts, on_core, tile_sizes
from pim_sim.schema import check_choice
from pim_sim.workload import ceil_div

Schedule = Literal["best", "events", "time_inner", "dense"]
"""Restriction of the mappings of every layer, except of one that takes pixels.

- events: time outermost; every input that is not zero is an address, in every step.
- time_inner: time innermost; all steps of an input are one word, which fetches its weights once.
- dense: on the multipliers, which read every weight and every input.
- best: all of these, and sums that stay over all steps.
"""
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)


class Units(NamedTuple):
    """Accumulators, or multipliers, that take inputs one by one."""

    units: int
    """Units that work at the same time."""
    sums: int
    """Sums that the registers of all units hold."""
    line_bits: int
    """Bits of the line buffer that serves overlapping windows from one read."""
    weight_space: int
    """Bits of the weight buffer."""


def check_schedule(schedule: str, chip: Chip) -> None:
    """Refuse a schedule that is unknown, or for which a chip has no accumulators."""
    check_choice("schedule", schedule, SCHEDULES)
    if schedule in ("events", "time_inner") and chip.events is None:
        expected = f"[chip.events] for the schedule {schedule}"
        raise InputError(f"chip {chip.name}: found no accumulators of spikes, expected {expected}")


def candidates(demand: Demand, chip: Chip, schedule: Schedule = "best") -> list[Candidates]:
    """Return the mappings of a layer on a chip under a schedule."""
    skips = chip.events is not None and not demand.of_pixels
    found = []
    if schedule in ("best", "dense") or not skips:
        weights, values = chip.weight_buffer.bits, chip.activation_buffer.bits
        found.append(on_core(demand, chip.core, weights, values))
    if not skips:
        return found
    units = units_of(demand, chip)
    if schedule == "best" and demand.layer.of_spikes:
        found.append(sums_stationary(demand, units))
    if schedule in ("best", "events"):
        found.append(time_outermost(demand, units))
    if schedule in ("best", "time_inner"):
        found.append(time_innermost(demand, units))
    return found


@lru_cache(maxsize=4096)
def sums_stationary(demand: Demand, units: Units) -> Candidates:
    """Return the mapping of spikes in which time is inside the loop over sets of sums.

    A spike is read as its address, once per set of sums that the accumulators hold; it fetches the
    weight of every product, and adds it to a sum that stays over all steps.
    """
    events = _events(demand)
    sets = ceil_div(demand.layer.outputs, units.sums)
    counts = _counts(
        demand,
        units,
        fetched=_products(demand),
        input_bits=events * _event_bits(demand) * sets,
        taken=events * sets,
    )
    return Candidates(
        demand,
        counts,
        None,
        "each spike fetches the weights that it reaches; sums and membranes stay",
    )


@lru_cache(maxsize=4096)
def time_outermost(demand: Demand, units: Units) -> Candidates:
    """Return the mapping of the schedule ``events``: step after step, as the events come.

    Every input that is not zero is read once per step, as its address and, where it has more than
    one bit, its value, and fetches the weight of every product. Membranes, or sums over all steps,
    move between buffer and units in every step, unless the registers hold all of them.
    """
    layer, events = demand.layer, _events(demand)
    moves = layer.applications > 1 and layer.outputs > units.sums
    moved = 2 * layer.outputs * layer.applications * moves
    counts = _counts(
        demand,
        units,
        fetched=_products(demand),
        input_bits=events * _event_bits(demand),
        taken=events,
        membrane_bits=moved * demand.membrane_bits,
        partial_bits=moved * demand.sum_bits * demand.integrates,
    )
    words = "each event fetches the weights that it reaches, step after step; "
    return Candidates(demand, counts, None, words + ("membranes move" if moves else "sums stay"))


@lru_cache(maxsize=4096)
def time_innermost(demand: Demand, units: Units) -> Candidates:
    """Return the mappings of the schedule ``time_inner``: all steps of a set of sums at once.

    An input is one bit of a bitmap and, where it is not zero in some step, the word of its steps
    (Yin et al., LoAS, MICRO 2024), which fetches its weights once. A set is as many filters and
    positions as the registers hold sums for, each with all of its steps, and reads the inputs of
    its windows; the line buffer serves overlapping windows from one read.
    """
    layer = demand.layer
    word = layer.input_bits * layer.applications
    value_bits = 1 + layer.active * word * (word > 1)
    steps = 1 if demand.integrates else layer.applications
    fitting = max(1, min(layer.filters_per_group, units.sums // steps))
    filters: Any = np.array(tile_sizes(fitting))
    positions: Any = np.clip(units.sums // (filters * steps), 1, layer.positions)
    reads = demand.touched(layer.fan_in, positions) * ceil_div(layer.positions, positions)
    if demand.lines_bits(layer.fan_in) <= units.line_bits:
        reads = np.minimum(reads, demand.touched(layer.fan_in, layer.positions))
    reads = reads * layer.groups * ceil_div(layer.filters_per_group, filters)
    counts = _counts(
        demand,
        units,
        fetched=layer.fetched_products,
        input_bits=reads * value_bits,
        taken=reads * layer.active,
    )
    words = "each input that fires fetches its weights once for all steps; sums and membranes stay"
    return Candidates(demand, counts, None, words)


def units_of(demand: Demand, chip: Chip) -> Units:
    """Return the units of a chip with accumulators that take the inputs of a layer."""
    core, events = chip.core, chip.events
    assert events is not None  # asked only where they are
    units, registers = (
        (events.accumulators, events.sum_registers)
        if demand.layer.of_spikes
        else (core.multipliers, core.sum_registers)
    )
    return Units(units, units * registers, core.line_buffer_bits, chip.weight_buffer.bits)


def _counts(
    demand: Demand,
    units: Units,
    *,
    fetched: float,
    input_bits: Any,
    taken: Any,
    membrane_bits: float = 0,
    partial_bits: float = 0,
) -> Counts:
    """Return the counts of a mapping by the weights fetched and the inputs taken one by one."""
    layer, products = demand.layer, _products(demand)
    value_bits = 0 if layer.of_spikes else layer.input_bits
    weights = fetched * layer.weight_bits
    return Counts(
        weight_bits=weights,
        dram_bits=weights * (layer.weights * layer.weight_bits > units.weight_space),
        input_bits=input_bits,
        partial_bits=partial_bits,
        membrane_bits=membrane_bits,
        output_bits=demand.written_outputs * demand.output_bits,
        register_bits=products * (2 * demand.sum_bits + layer.weight_bits + value_bits),
        multiplies=0 if layer.of_spikes else products,
        adds=products,
        cycles=taken + products / units.units,
    )


def _events(demand: Demand) -> float:
    """Return the inputs that are not zero, over all steps."""
    layer = demand.layer
    return layer.inputs * layer.input_density * layer.applications


def _event_bits(demand: Demand) -> int:
    """Return the bits of an event: its address and, except of a spike, its value."""
    layer = demand.layer
    return max(1, (layer.inputs - 1).bit_length()) + (0 if layer.of_spikes else layer.input_bits)


def _products(demand: Demand) -> float:
    """Return the products whose input is not zero, over all steps; as counted where they are."""
    layer = demand.layer
    return layer.fetched_products if layer.applications == 1 else layer.nonzero_products
