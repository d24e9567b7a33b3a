"""Energy per operation of a chip beside measured spiking chips and CNN accelerators.

`silicon.csv` holds what papers print, with its source and its doubts. Chips count
different things in one synaptic operation, and peak figures of accelerators assume few toggles, so
that a factor of a few is what such a comparison can show; nothing is fitted to it.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pim_sim.cost_model import Cost
from pim_sim.errors import InputError
from pim_sim.hardware import Chip
from pim_sim.network import Counts, Demand, Loading, candidates, digital_costs, price_digital
from pim_sim.network.demand import MEMBRANE_BITS
from pim_sim.workload import one_layer

_FILE = Path(__file__).with_name("silicon.csv")
_LAYER, _INPUT = "64x64x3x3", "64x18x18"
_DENSITY, _STEPS, _BITS = 0.1, 4, 8
_LEFT_OUT = (
    "not silicon",
    "software",
    "float",
    "do not treat",
    "in-memory",
    "CIM",
    "pulse-density",
)
_WIDTHS = re.compile(r"(\d+)(?: x (\d+)|(?:-bit)? weights)")


@dataclass(frozen=True)
class MeasuredOperation:
    """Energy of one operation of a measured chip, and of the model at its node and supply."""

    chip: str
    operation: str
    """MAC, or SOP: one weight added because of one spike."""
    node_nm: float
    supply_v: float
    """As printed, or the usual one of the node."""
    bits: str
    """Bits of inputs x weights as printed; empty where they are not."""
    measured_pj: float
    predicted_pj: float
    basis: str
    source: str

    @property
    def factor(self) -> float:
        """Model over measurement."""
        return self.predicted_pj / self.measured_pj


def place_operations(chip: Chip) -> list[MeasuredOperation]:
    """Price one operation of a chip at the node, supply and bits of every measured chip.

    The operation is that of a layer of 64 filters of 64x3x3 on 16x16 positions, everything that the
    layer spends included except the way of its input and weights into the chip; of spikes with a
    density of 0.1 over 4 steps, on event-driven accumulators as spiking chips have them, neurons
    included. Accelerators without printed bits are left out; weights of spiking chips are taken to
    have 8, and so are inputs beside printed bits of weights.

    >>> from pim_sim import load_chip
    >>> rows = place_operations(load_chip("edge_22nm"))
    >>> sorted({row.operation for row in rows})
    ['MAC', 'SOP']
    """
    found = []
    for row in _rows():
        node, supply = float(row["node_nm"]), _supply(row)
        inputs, weights = _bits(row["bits"])
        try:
            moved = chip.moved(node_nm=node, supply_v=supply)
        except InputError:
            continue  # outside of the range of the laws
        predicted = operation_pj(moved, row["energy_per"], inputs, weights)
        found.append(
            MeasuredOperation(
                row["chip"], row["energy_per"], node, supply, row["bits"],
                float(row["energy_pj"]), predicted, row["energy_basis"], row["source"],
            )
        )  # fmt: skip
    return found


def operation_pj(chip: Chip, operation: str, input_bits: int, weight_bits: int) -> float:
    """Return the energy of one MAC or SOP of the layer of `place_operations`."""
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
        (found,) = (
            row for row in candidates(Demand(layer, 1, MEMBRANE_BITS), chip) if row.splits is None
        )
        costs = digital_costs(found.demand, Counts(*found.table[0]), chip, Loading(True, 0.0))
    else:
        costs = price_digital(Demand(layer, input_bits, 0), chip, Loading(True, 0.0)).costs
    return sum(float(cost.energy_pj) for cost in costs.values()) / layer.nonzero_products


def geometric_error(rows: Sequence[MeasuredOperation]) -> float:
    """Return the geometric mean of the factors by which the model is off, up or down."""
    return math.exp(sum(abs(math.log(row.factor)) for row in rows) / len(rows))


def _rows() -> Iterator[dict[str, Any]]:
    with _FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            words = f"{row['flags']} {row['bits']} {row['chip']}"
            usable = not any(word in words for word in _LEFT_OUT)
            one = row["energy_per"] in ("MAC", "SOP") and "-" not in row["energy_pj"]
            known = row["energy_per"] == "SOP" or _WIDTHS.match(row["bits"])
            if usable and one and known and row["node_nm"] and row["energy_pj"]:
                yield row


def _supply(row: dict[str, Any]) -> float:
    try:
        return float(row["supply_v"])
    except ValueError:
        node = float(row["node_nm"])
        return 0.8 if node <= 22 else 0.9 if node <= 45 else 1.0


def _bits(text: str) -> tuple[int, int]:
    found = _WIDTHS.match(text)
    if found is None:
        return _BITS, _BITS
    first, second = found.groups()
    return (int(first), int(second)) if second else (_BITS, int(first))
