"""Search space of a layer on multipliers: every split, register tile and loop order, as counts.

The multipliers are split over filters, products of one sum and output positions; each holds a tile
of weights, inputs and sums in its registers; four loops over the rest, of filters, products,
positions and time steps, may stand in any order. A value is read from a buffer again only where a
loop that it does not depend on stands outside of one that it does. So every candidate is a row of
counts, and its energy the scalar product with the prices of a chip: all candidates are computed at
once, and the best one is exact.

Weights stay (weight stationary) where the loops over positions and time are inside, sums stay
(output stationary) where the loop over products is inside, inputs where the loop over filters is.
Membranes stay where time is inside the loops over filters and positions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pim_sim.hardware import Core
from pim_sim.network.demand import Demand
from pim_sim.workload import ceil_div

Floats = NDArray[np.float64]


class Counts(NamedTuple):
    """Work of one pixel on one core; every field is a number, or an array over candidates."""

    weight_bits: Any
    """Bits of weights read from their buffer."""
    dram_bits: Any
    """Bits of weights read from DRAM because the buffer does not hold the layer."""
    input_bits: Any
    """Bits of inputs read from the activation buffer."""
    partial_bits: Any
    """Bits of unfinished sums written to and read from the activation buffer."""
    membrane_bits: Any
    """Bits of membranes written to and read from the activation buffer."""
    output_bits: Any
    """Bits of outputs written to the activation buffer."""
    register_bits: Any
    """Bits written into and read from registers."""
    multiplies: Any
    adds: Any
    cycles: Any


LOOPS = ("filters", "products", "positions", "time")
_F, _K, _P, _T = range(4)
_ORDERS = np.array(list(itertools.permutations(range(4))))
_ORDERS_OF_ONE_STEP = _ORDERS[_ORDERS[:, 3] == _T]


@dataclass(frozen=True)
class Candidates:
    """All mappings of one layer on one core."""

    demand: Demand
    counts: Counts
    splits: NDArray[np.int64] | None
    """Of the core with multipliers [tiles, 6]: filters, products and positions at once, and in
    registers. None for mappings that take inputs one by one."""
    text: str = ""
    """Mappings in words, where they have no splits."""

    @cached_property
    def table(self) -> Floats:
        """Counts [candidates, fields of `Counts`]."""
        shape = np.broadcast_shapes(*(np.shape(count) for count in self.counts))
        rows = [np.broadcast_to(count, shape).reshape(-1) for count in self.counts]
        return np.stack(rows, axis=1).astype(float)

    def words(self, index: int) -> str:
        """Describe a candidate."""
        if self.splits is None:
            return self.text
        orders = _orders(self.demand)
        tile, order = divmod(index, len(orders))
        split = self.splits[tile]
        bounds = _bounds(self.demand, split[None, :])[0]
        row = Counts(*self.table[index])
        stays = []
        layer = self.demand.layer
        if row.weight_bits <= layer.weights * layer.weight_bits:
            stays.append("weights")
        if not row.partial_bits:
            stays.append("sums")
        if bounds[_F] == 1:
            stays.append("inputs")
        if self.demand.membrane_bits and layer.applications > 1 and not row.membrane_bits:
            stays.append("membranes")
        loops = [f"{LOOPS[loop]} {bounds[loop]}" for loop in orders[order] if bounds[loop] > 1]
        at_once = "{} filters x {} products x {} positions at once".format(*split[:3])
        held = "{} x {} x {} in registers".format(*split[3:])
        return (
            f"{at_once}, {held}; loops, outermost first: {', '.join(loops) or 'none'}; "
            f"{', '.join(stays) or 'nothing'} stay"
        )


@lru_cache(maxsize=4096)
def on_core(demand: Demand, core: Core, weight_space: int, activation_space: int) -> Candidates:
    """Return every mapping on the multipliers."""
    layer = demand.layer
    splits = _splits(demand, core)
    bounds = _bounds(demand, splits)
    at_once, held = splits[:, :3], splits[:, 3:]
    place = np.argsort(_orders(demand), axis=1)  # [orders, loops], 0 outermost
    active = bounds[:, None, :] > 1
    inside = np.where(active, place, -1)  # [tiles, orders, loops]; -1 for a loop of one turn

    def again(depends: tuple[int, ...]) -> Any:
        """Return how often all values are moved, by loops outside of those that they depend on."""
        innermost = inside[:, :, depends].max(axis=2)
        factor: Any = 1
        for loop in set(range(4)) - set(depends):
            outside = active[:, :, loop] & (inside[:, :, loop] < innermost)
            factor = factor * np.where(outside, bounds[:, None, loop], 1)
        return factor

    weights = layer.weights * layer.weight_bits * again((_F, _K))
    tile = (at_once * held)[:, None, :]
    products = np.minimum(tile[:, :, _K], layer.fan_in)
    positions = np.minimum(tile[:, :, _P], layer.positions)
    tiled = demand.touched(products, positions) * bounds[:, None, _P]
    lines = demand.touched(products, layer.positions)
    loops_within = inside[:, :, (_F, _K)].max(axis=2) > inside[:, :, _P]
    buffered = ~loops_within & (demand.lines_bits(products) <= core.line_buffer_bits)
    once = np.where(buffered, np.minimum(lines, tiled), tiled) * bounds[:, None, _K]
    inputs = once * layer.groups * layer.applications * layer.input_bits
    inputs = inputs * again((_K, _P, _T))
    outputs = layer.outputs * layer.applications
    reduced: tuple[int, ...] = (_K, _T) if demand.integrates else (_K,)
    kept = tuple(set(range(4)) - set(reduced))
    sums = layer.outputs if demand.integrates else outputs
    rounds = again(kept)
    partial = 2 * sums * (rounds - 1) * demand.sum_bits
    fits = demand.kept_bits + sums * demand.sum_bits <= activation_space
    membranes: Any = 0
    if demand.membrane_bits and layer.applications > 1:
        moved = inside[:, :, (_F, _P)].max(axis=2) > inside[:, :, _T]
        membranes = np.where(moved, 2 * outputs * demand.membrane_bits, 0)
    slots = layer.macs * layer.applications
    share = layer.nonzero_products / slots
    summed = np.minimum(at_once[:, None, _K], layer.fan_in)
    updates = slots / summed * np.minimum(1.0, summed * share)
    registers = (
        slots * (layer.input_bits + share * layer.weight_bits)
        + 2 * updates * demand.sum_bits
        + weights * np.minimum(at_once[:, None, _P], layer.positions)
        + inputs * np.minimum(at_once[:, None, _F], layer.filters_per_group)
    )
    groups = ceil_div(layer.groups, _groups_at_once(demand, core, at_once))
    turns = bounds.prod(axis=1) * held.prod(axis=1) * groups
    counts = Counts(
        weight_bits=weights,
        dram_bits=weights * (layer.weights * layer.weight_bits > weight_space),
        input_bits=inputs,
        partial_bits=np.where(fits | (rounds == 1), partial, np.inf),
        membrane_bits=membranes,
        output_bits=demand.written_outputs * demand.output_bits,
        register_bits=registers,
        multiplies=0 if layer.of_spikes else layer.nonzero_products,
        adds=layer.nonzero_products,
        cycles=turns[:, None],
    )
    return Candidates(demand, counts, splits)


def _orders(demand: Demand) -> NDArray[np.int64]:
    """Return the orders of the loops [orders, 4], outermost first."""
    return _ORDERS if demand.layer.applications > 1 else _ORDERS_OF_ONE_STEP


def _splits(demand: Demand, core: Core) -> NDArray[np.int64]:
    """Return every split of the multipliers and of their registers [tiles, 6]."""
    layer = demand.layer
    sizes = (layer.filters_per_group, layer.fan_in, layer.positions)
    spatial = _grid(*(tile_sizes(min(size, core.multipliers)) for size in sizes))
    spatial = spatial[spatial.prod(axis=1) <= core.multipliers]
    deepest = max(core.weight_registers, core.input_registers, core.sum_registers)
    held = _grid(*[[2**n for n in range(deepest.bit_length())]] * 3)
    fitting = (
        (held[:, _F] * held[:, _K] <= core.weight_registers)
        & (held[:, _K] * held[:, _P] <= core.input_registers)
        & (held[:, _F] * held[:, _P] <= core.sum_registers)
    )
    held = held[fitting]
    both = np.concatenate(
        [np.repeat(spatial, len(held), axis=0), np.tile(held, (len(spatial), 1))], axis=1
    )
    left: Any = -(-np.array(sizes) // both[:, :3])
    used: NDArray[np.int64] = both[(both[:, 3:] < 2 * left).all(axis=1)]
    return used


def _bounds(demand: Demand, splits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the turns of the four loops [tiles, 4]."""
    layer = demand.layer
    sizes = np.array((layer.filters_per_group, layer.fan_in, layer.positions))
    turns = -(-sizes // (splits[:, :3] * splits[:, 3:]))
    steps = np.full((len(splits), 1), layer.applications)
    return np.concatenate([turns, steps], axis=1)


def _groups_at_once(demand: Demand, core: Core, at_once: NDArray[np.int64]) -> Any:
    """Return the groups of channels that share the multipliers."""
    return np.clip(core.multipliers // at_once.prod(axis=1), 1, demand.layer.groups)


def _grid(*axes: Iterable[int]) -> NDArray[np.int64]:
    return np.array(list(itertools.product(*axes)), dtype=np.int64)


def tile_sizes(size: int) -> list[int]:
    """Return the powers of two below a size, and the size."""
    return [*(2**n for n in range((size - 1).bit_length())), size]
