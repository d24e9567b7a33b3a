"""Cost tables: energy per operation by bits, each number with its source, in `tables/*.toml`."""

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

    For integers of b bits the energy is a power law through the table's points,
    E(b) = E(b1) (b / b1)^k: a multiplier grows about with b^2, an adder about with b.

    >>> horowitz = next(table for table in load_costs() if table.name == "horowitz")
    >>> horowitz.mac(None), horowitz.ac(None), round(horowitz.mac(8), 4)
    (4.6, 0.9, 0.23)
    """

    name: str
    """Name of its file and of its columns in the reports."""
    description: str
    """Technology and counting, in one line."""
    accumulates: Literal["exact", "rate"]
    """Count that its ACs go with: "exact", or "rate", spikes per input times dense MACs."""
    mac_float32: float
    """Energy of a MAC in 32-bit floating point, pJ."""
    ac_float32: float
    """Energy of an AC in 32-bit floating point, pJ."""
    mac_integer: dict[int, float]
    """Energy of an integer MAC by bits, pJ; two points."""
    ac_integer: dict[int, float]
    """Energy of an integer AC by bits, pJ; two points."""

    def mac(self, bits: int | None) -> float:
        """Return the energy of a MAC in pJ; `bits` None is 32-bit floating point."""
        return self.mac_float32 if bits is None else _power_law(self.mac_integer, bits)

    def ac(self, bits: int | None) -> float:
        """Return the energy of an AC in pJ; `bits` None is 32-bit floating point."""
        return self.ac_float32 if bits is None else _power_law(self.ac_integer, bits)

    def energy_pj(self, activity: Sequence[LayerActivity], bits: int | None) -> float:
        """Add up the compute energy per classified pixel.

        Args:
            activity: Layers, as `measure` returns them.
            bits: Bits per weight of layers that state none; None is 32-bit floating point for all.

        Returns:
            Energy in pJ per pixel.

        >>> from snnquant.nn import LayerInfo
        >>> info = LayerInfo("dense", "linear", (4,), (2, 4), (2,), (), (), 8)
        >>> layer = LayerActivity(info, False, 1.0, mac=8.0, ac=0.0, ac_by_rate=0.0)
        >>> table = CostTable("mine", "", "exact", 4.6, 0.9, {8: 0.2, 32: 3.1}, {8: 0.1, 32: 0.4})
        >>> round(table.energy_pj([layer], None), 1)
        36.8
        """
        energy = 0.0
        for layer in activity:
            own = bits if bits is None or layer.bits is None else layer.bits
            accumulates = layer.ac if self.accumulates == "exact" else layer.ac_by_rate
            energy += layer.mac * self.mac(own) + accumulates * self.ac(own)
        return energy


def _power_law(points: dict[int, float], bits: int) -> float:
    (b1, e1), (b2, e2) = sorted(points.items())
    exponent = math.log(e2 / e1) / math.log(b2 / b1)
    return e1 * math.pow(bits / b1, exponent)


def load_costs() -> list[CostTable]:
    """Read the cost tables that come with the package.

    Returns:
        The tables in the order of their names.

    >>> [table.name for table in load_costs()]
    ['ace_snn', 'horowitz']
    """
    tables = []
    for file in sorted(resources.files("snnquant.energy").joinpath("tables").iterdir(), key=str):
        if file.name.endswith(".toml"):
            values = tomllib.loads(file.read_text(encoding="utf-8"))
            for kind in ("mac_integer", "ac_integer"):
                values[kind] = {int(bits): energy for bits, energy in values[kind].items()}
            tables.append(CostTable(file.name.removesuffix(".toml"), **values))
    return tables
