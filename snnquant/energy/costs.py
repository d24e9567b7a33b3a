"""Cost tables: energy an operation by bits, each with its source, in `tables/*.toml`."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from snnquant.energy.counts import LayerActivity


@dataclass(frozen=True)
class CostTable:
    """Energy of a multiply-accumulate (MAC) and of an accumulate (AC) in pJ.

    `bits` None stands for 32-bit floating point. For integers of b bits the energy is a power law
    through the table's points, E(b) = E(b1) (b / b1)^k: a multiplier grows about with b^2, an adder
    about with b. `accumulates` names the count it goes with: "exact", or "rate" for spike rate
    times dense MACs.
    """

    name: str
    description: str
    accumulates: Literal["exact", "rate"]
    mac_float32: float
    ac_float32: float
    mac_integer: dict[int, float]
    ac_integer: dict[int, float]

    def mac(self, bits: int | None) -> float:
        """Energy of a MAC in pJ."""
        return self.mac_float32 if bits is None else _power_law(self.mac_integer, bits)

    def ac(self, bits: int | None) -> float:
        """Energy of an AC in pJ."""
        return self.ac_float32 if bits is None else _power_law(self.ac_integer, bits)

    def energy_pj(self, activity: Sequence[LayerActivity], bits: int | None) -> float:
        """Compute energy of one classified pixel in pJ, weights of `bits` bits."""
        return sum(
            layer.mac * self.mac(bits)
            + (layer.ac if self.accumulates == "exact" else layer.ac_by_rate) * self.ac(bits)
            for layer in activity
        )


def _power_law(points: dict[int, float], bits: int) -> float:
    (b1, e1), (b2, e2) = sorted(points.items())
    exponent = math.log(e2 / e1) / math.log(b2 / b1)
    return e1 * math.pow(bits / b1, exponent)


def load_costs() -> list[CostTable]:
    """Every shipped table, by name."""
    tables = []
    for file in sorted(resources.files("snnquant.energy").joinpath("tables").iterdir(), key=str):
        if file.name.endswith(".toml"):
            values = tomllib.loads(file.read_text(encoding="utf-8"))
            for kind in ("mac_integer", "ac_integer"):
                values[kind] = {int(bits): energy for bits, energy in values[kind].items()}
            tables.append(CostTable(file.name.removesuffix(".toml"), **values))
    return tables
