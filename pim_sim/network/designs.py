"""Whole networks on many chips at once.

The counts of a mapping do not depend on prices, so that a layer is searched once per structure of
the chip; of its mappings only those stay that no other beats in every count, as one of them is best
whatever the prices. All combinations of prices then are arrays.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_sim.cost_model import Cost
from pim_sim.errors import InputError
from pim_sim.hardware import Chip, with_fields
from pim_sim.network.area import chip_area_mm2, leakage_pj_per_ns
from pim_sim.network.demand import Demand
from pim_sim.network.layer_price import LayerPrice, Loading, Objective, digital_costs, score_of
from pim_sim.network.mappings import Counts
from pim_sim.network.price import layer_prices
from pim_sim.network.schedules import candidates
from pim_sim.schema import unchecked
from pim_sim.workload import Workload

Floats = NDArray[np.float64]

PRICES = (
    "clock_ns", "core.multiply_energy_pj", "core.add_energy_pj", "core.register_energy_pj",
    "activation_buffer.read_energy_pj", "activation_buffer.write_energy_pj",
    "activation_buffer.words_per_cycle", "weight_buffer.read_energy_pj",
    "weight_buffer.write_energy_pj", "weight_buffer.words_per_cycle", "dram.access_energy_pj",
    "dram.bits_per_ns", "links.bit_energy_pj",
)  # fmt: skip
"""Fields that change no mapping's counts, and so are computed as arrays."""


@dataclass(frozen=True)
class Designs:
    """A network on every combination of fields of a chip, per pixel; all arrays of one length."""

    fields: Mapping[str, NDArray[Any]]
    """Value of every field that was varied."""
    energy_pj: Floats
    latency_ns: Floats
    area_mm2: Floats

    @property
    def edp(self) -> Floats:
        """Energy-delay products in pJ ns."""
        return self.energy_pj * self.latency_ns


def price_designs(
    workload: Workload,
    chip: Chip,
    axes: Mapping[str, Sequence[Any]],
    in_memory: Collection[str] = (),
    objective: Objective = "energy",
) -> Designs:
    """Price a network on every combination of fields of a chip, each layer with its best mapping.

    Args:
        workload: layers of the network.
        chip: the chip whose fields are varied.
        axes: values by field, named as in `with_fields`, or ``supply_v`` and ``node_nm``, which
            move the whole chip. The fields of `PRICES` are arrays and cost little.
        in_memory: names of the layers that macros compute.
        objective: quantity that the mapping of every digital layer minimises.

    Returns:
        Energy, latency and area of every design, as `price_network` has them.

    Raises:
        InputError: a field is unknown, or a value is refused.

    >>> from pim_sim import Layer, load_chip
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> axes = {"core.multipliers": [64, 128], "clock_ns": [1.0, 2.0, 4.0]}
    >>> designs = price_designs(Workload(name="demo", layers=(fc,)), load_chip("edge_22nm"), axes)
    >>> designs.energy_pj.shape, bool(designs.latency_ns[0] < designs.latency_ns[1])
    ((6,), True)
    """
    if empty := [name for name, values in axes.items() if not len(values)]:
        raise InputError(f"{empty[0]}: found no value, expected at least one")
    priced = {name: values for name, values in axes.items() if name in PRICES}
    looped = {name: values for name, values in axes.items() if name not in PRICES}
    for name, values in priced.items():
        with_fields(
            chip, [f"{name}={value}" for value in values]
        )  # refuses what a file may not have
    grid = np.meshgrid(*priced.values(), indexing="ij")
    prices = {name: np.ravel(grid[i]).astype(float) for i, name in enumerate(priced)}
    size = math.prod(len(values) for values in priced.values())
    parts = []
    for values in itertools.product(*looped.values()):
        structure = _moved(chip, dict(zip(looped, values, strict=True)))
        energy, delay, area = _many(workload, structure, prices, in_memory, objective)
        fields = dict(zip(looped, (np.full(size, value) for value in values), strict=True))
        columns = [np.broadcast_to(part, size) for part in (energy, delay, area)]
        parts.append((fields | prices, columns))
    return Designs(
        {name: np.concatenate([fields[name] for fields, _ in parts]) for name in axes},
        *(np.concatenate([columns[i] for _, columns in parts]) for i in range(3)),
    )


def _moved(chip: Chip, fields: dict[str, Any]) -> Chip:
    moves = {name: fields.pop(name) for name in ("node_nm", "supply_v") if name in fields}
    chip = with_fields(chip, [f"{name}={value}" for name, value in fields.items()])
    return chip.moved(**moves) if moves else chip


def _many(
    workload: Workload,
    chip: Chip,
    prices: Mapping[str, Floats],
    in_memory: Collection[str],
    objective: Objective,
) -> tuple[Any, Any, float]:
    """Return energy, latency and area of a chip at many prices."""
    many = chip
    for name, values in prices.items():
        many = _with_array(many, name.split("."), values)

    used = chip if in_memory else replace(chip, macro=None)
    leaks = leakage_pj_per_ns(used)

    def digital(demand: Demand, loading: Loading) -> LayerPrice:
        table = frontier(np.concatenate([found.table for found in candidates(demand, chip)]))
        rows = Counts(*(column[:, None] for column in table.T))
        costs = digital_costs(demand, rows, many, loading)
        best = np.argmin(np.atleast_2d(score_of(costs, objective, leaks)), axis=0)
        return LayerPrice(demand.layer.name, "digital", "", _taken(costs, best, len(table)))

    found = layer_prices(workload, many, in_memory, 1, digital)
    every = [cost for layer in found for cost in layer.costs.values()]
    energy = sum(cost.energy_pj for cost in every)
    return energy, sum(cost.delay_ns for cost in every), chip_area_mm2(used)


def _taken(costs: Mapping[str, Cost], best: NDArray[np.intp], rows: int) -> dict[str, Cost]:
    """Return the costs of the best row of every design."""

    def of(values: Any) -> Any:
        full = np.broadcast_to(values, (rows, len(best)))
        return np.take_along_axis(full, best[None, :], axis=0)[0]

    return {
        name: Cost(of(cost.energy_pj), of(cost.delay_ns), cost.by) for name, cost in costs.items()
    }


def frontier(table: Floats) -> Floats:
    """Return the rows that no other row beats or equals in every column.

    >>> frontier(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
    [[1.0, 2.0], [2.0, 1.0]]
    """
    table = table[np.isfinite(table).all(axis=1)]
    left = table[np.argsort(table.sum(axis=1), kind="stable")]
    kept = []
    while len(left):
        kept.append(left[0])
        left = left[(left < left[0]).any(axis=1)]
    return np.array(kept)


def _with_array(part: Any, path: Sequence[str], values: Floats) -> Any:
    name, *rest = path
    inner = _with_array(getattr(part, name), rest, values) if rest else values
    return unchecked(part, **{name: inner})
