"""Energy per operation of a chip beside measured spiking chips and CNN accelerators.

`silicon.csv` holds what papers and vendors print; nothing was fitted to it. The digital cores of a
shipped chip, moved to the node and supply of a measured one by the law that moves everything else,
compute a layer of 64 filters of 64x3x3 on 16x16 positions. A multiply-accumulate is one of its
products with the best mapping, a synaptic operation one weight that a spike fetches on the
event-driven accumulators (density 0.1, 4 steps), with everything that the layer spends except the
way of its input and weights into the chip. Whole chips spend more (clocks, routers, control, idle
neurons) or less (zeros skipped), so a factor of a few is agreement.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pim_sim.cost_model import Cost
from pim_sim.hardware import Chip, load_chip
from pim_sim.network import Counts, Demand, Loading, digital_costs, price_digital
from pim_sim.network.demand import MEMBRANE_BITS
from pim_sim.network.schedules import sums_stationary, units_of
from pim_sim.workload import one_layer

_FILE = Path(__file__).with_name("silicon.csv")
_CHIP = "edge_22nm"
_LAYER, _INPUT, _DENSITY, _STEPS = "64x64x3x3", "64x18x18", 0.1, 4
_ELSEWHERE = ("software", "in-memory")
"""Flags of chips that compute on processor cores, or are macros themselves."""


@dataclass(frozen=True, kw_only=True)
class Silicon:
    """One measured chip beside the cores of a chip of the package at its node, supply and bits."""

    chip: str
    operation: str
    """``MAC`` or ``SOP`` (synaptic operation)."""
    node_nm: float
    supply_v: float
    """Supply as printed, or the usual one of the node."""
    bits: tuple[int, int]
    """Bits of inputs and weights; 8 where the source does not say."""
    measured_pj: float
    ours_pj: float
    basis: str
    source: str

    @property
    def factor(self) -> float:
        """The larger over the smaller of the two; 1 is right."""
        return max(self.measured_pj / self.ours_pj, self.ours_pj / self.measured_pj)


@functools.cache
def beside_silicon() -> tuple[Silicon, ...]:
    """Return every shipped digital chip with its node and energy, in the order of the file."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(_row(row) for row in rows if not any(word in row["flags"] for word in _ELSEWHERE))


def _row(row: dict[str, str]) -> Silicon:
    node = float(row["node_nm"])
    supply = float(row["supply_v"]) if row["supply_v"] else _usual_v(node)
    bits = _bits(row["bits"])
    operation = row["energy_per"]
    chip = load_chip(_CHIP).moved(node_nm=node, supply_v=supply)
    return Silicon(
        chip=row["chip"],
        operation=operation,
        node_nm=node,
        supply_v=supply,
        bits=bits,
        measured_pj=float(row["energy_pj"]),
        ours_pj=operation_pj(chip, operation, *bits),
        basis=row["energy_basis"],
        source=row["source"],
    )


def operation_pj(chip: Chip, operation: str, input_bits: int, weight_bits: int) -> float:
    """Return the energy of one MAC or SOP of the layer, on the digital cores of a chip.

    >>> chip = load_chip("edge_22nm")
    >>> operation_pj(chip, "SOP", 1, 8) > operation_pj(chip, "MAC", 8, 8)
    True
    """
    spikes = operation == "SOP"
    workload = one_layer(
        _LAYER,
        _INPUT,
        weight_bits=weight_bits,
        input_bits=1 if spikes else input_bits,
        time_steps=_STEPS if spikes else 1,
        density=_DENSITY if spikes else 1.0,
    )
    (layer,) = workload.layers
    costs: Mapping[str, Cost]
    if spikes:
        demand = Demand(layer, 1, MEMBRANE_BITS)
        found = sums_stationary(demand, units_of(demand, chip))
        costs = digital_costs(found.demand, Counts(*found.table[0]), chip, Loading(True, 0.0))
    else:
        demand = Demand(layer, input_bits, 0, of_pixels=True)
        costs = price_digital(demand, chip, Loading(True, 0.0)).costs
    return sum(float(cost.energy_pj) for cost in costs.values()) / layer.nonzero_products


def _usual_v(node_nm: float) -> float:
    return 1.0 if node_nm >= 55 else 0.9 if node_nm >= 28 else 0.8


def _bits(text: str) -> tuple[int, int]:
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if "ternary" in text:
        return 2, 2
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    return 8, numbers[0] if numbers else 8
