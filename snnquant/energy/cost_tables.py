"""Cost tables in pJ per operation, each number with its source, in `tables/*.toml`.

A TOML file has `description` and, with `widths = "weight"`, the energies of a multiply-accumulate
and an accumulate by bits of a weight; with `widths = "operands"` those of single operations by the
bits of their operands. The environment variable SNNQUANT_COSTS names files of further tables.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from snnquant.energy.cost import COSTS, Cost, add_cost
from snnquant.energy.counts import Accumulates
from snnquant.energy.operand_widths import Counts, Operation, shift_stages, weight_bits
from snnquant.errors import InputError
from snnquant.io import one_line

COST_VARIABLE = "SNNQUANT_COSTS"
"""Environment variable with TOML files of further cost tables, separated as in PATH."""
SHIPPED = ("horowitz_widths", "ace_snn", "horowitz")
"""Tables of the package, in the order in which they are shown, before the efforts."""


@dataclass(kw_only=True)
class CostTable(Cost):
    """Energy of a multiply-accumulate (MAC) and of an accumulate (AC) in pJ by bits of a weight.

    For integers of b bits the energy is a power law through the table's points,
    E(b) = E(b1) (b / b1)^k: a multiplier grows about with b^2, an adder about with b. Widths of
    inputs and sums, and element-wise work, have no price; a product that is a shift is a MAC.

    >>> horowitz = COSTS.get("horowitz")
    >>> horowitz.mac(None), horowitz.ac(None), round(horowitz.mac(8), 4)
    (4.6, 0.9, 0.23)
    """

    description: str
    accumulates: Accumulates
    mac_float32: float
    """Energy of a MAC with a weight in 32-bit floating point, pJ."""
    ac_float32: float
    """Energy of an AC with a weight in 32-bit floating point, pJ."""
    mac_integer: dict[int, float]
    """Energy of a MAC by bits of an integer weight, pJ; two points."""
    ac_integer: dict[int, float]
    """Energy of an AC by bits of an integer weight, pJ; two points."""

    def mac(self, bits: int | None) -> float:
        """Return the energy of a MAC in pJ; `bits` None is 32-bit floating point."""
        return self.mac_float32 if bits is None else _power_law(self.mac_integer, bits)

    def ac(self, bits: int | None) -> float:
        """Return the energy of an AC in pJ; `bits` None is 32-bit floating point."""
        return self.ac_float32 if bits is None else _power_law(self.ac_integer, bits)

    def price(self, counts: Counts) -> float:
        """Return the energy of the multiply-accumulates and accumulates, pJ."""
        energy = 0.0
        for operation, number in counts.items():
            # Quantized weights never have 32 bits; on inputs in floating point they keep theirs.
            floating = operation.floating and operation.i == 32
            bits = None if floating else weight_bits(operation)
            if operation.kind == "mac" or (operation.kind == "shift" and operation.total):
                energy += number * self.mac(bits)
            elif operation.kind == "ac":
                energy += number * self.ac(bits)
        return energy


@dataclass(kw_only=True)
class WidthTable(Cost):
    """Energy of single operations in pJ by the bits of their operands.

    A product of i by j bits is a power law of i j, an addition one of its bits, each through two
    points. A MAC is a product and an addition to its sum, an AC only the latter. A comparison is an
    addition of its wider operand.

    >>> table = COSTS.get("horowitz_widths")
    >>> round(table.price({Operation("mac", 8, 8, total=32): 1.0}), 3)
    0.3
    >>> round(table.price({Operation("mac", 32, 32, total=32, floating=True): 1.0}), 3)
    4.6
    """

    description: str
    multiply_float32: float
    """Energy of a multiplication with an operand in floating point, pJ."""
    add_float32: float
    """Energy of an addition with an operand in floating point, pJ."""
    compare_float32: float
    """Energy of a comparison with an operand in floating point, pJ."""
    shift_stage: float
    """Energy of one stage of a shifter, as a share of that of an addition of its width."""
    multiply_integer: dict[int, float]
    """Energy of a product of two b-bit integers by b, pJ; two points."""
    add_integer: dict[int, float]
    """Energy of an addition of integers by the bits of the sum, pJ; two points."""

    def multiply(self, i: int, j: int) -> float:
        """Return the energy of a product of an i-bit and a j-bit integer, pJ."""
        return _power_law(self.multiply_integer, math.sqrt(i * j))

    def add(self, bits: int) -> float:
        """Return the energy of an addition of integers, pJ."""
        return _power_law(self.add_integer, bits)

    def price(self, counts: Counts) -> float:
        """Return the energy of all operations, pJ."""
        return sum((number * self._each(op) for op, number in counts.items()), 0.0)

    def _each(self, op: Operation) -> float:
        widest = max(op.i, op.j)
        match op.kind, op.floating:
            case "mac", True:
                return self.multiply_float32 + self.add_float32
            case "mac", False:
                return self.multiply(op.i, op.j) + self.add(op.total)
            case "ac", False:
                return self.add(op.total)
            case "mul", floating:
                return self.multiply_float32 if floating else self.multiply(op.i, op.j)
            case "compare", floating:
                return self.compare_float32 if floating else self.add(widest)
            case "shift", _:
                shifted = self.shift_stage * shift_stages(op) * self.add(op.i)
                return shifted + (self.add(op.total) if op.total else 0.0)
            case _, floating:
                return self.add_float32 if floating else self.add(widest)


TABLES: dict[str, type[CostTable] | type[WidthTable]] = {
    "weight": CostTable,
    "operands": WidthTable,
}
"""Kinds of tables by the value of `widths` in their file."""


def read_cost_table(file: Path | Traversable) -> CostTable | WidthTable:
    """Read a cost table from a TOML file.

    Args:
        file: The file, with `widths`, `description` and the fields of `CostTable` or `WidthTable`.

    Returns:
        The table, without a name.

    Raises:
        InputError: The file cannot be read, or a field is missing, unknown or not a price.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({one_line(error)})") from None
    kind = values.pop("widths", None)
    if kind not in TABLES:
        expected = " or ".join(TABLES)
        raise InputError(f"{file}: widths: found {kind!r}, expected {expected}")
    known = {entry.name: entry for entry in fields(TABLES[kind])}
    for name in values.keys() | known.keys():
        if name not in known:
            raise InputError(f"{file}: found {name}, expected one of {', '.join(known)}")
        if name not in values and name != "accumulates":
            raise InputError(f"{file}: {name}: found none, expected a value")
    checked = {name: _checked(f"{file}: {name}", name, value) for name, value in values.items()}
    return TABLES[kind](**checked)


def load_costs() -> list[Cost]:
    """Return every cost table: of the package, of plugins and of SNNQUANT_COSTS.

    Returns:
        The tables in the order in which they are shown.

    Raises:
        InputError: A file of SNNQUANT_COSTS cannot be read, or its name is taken.

    >>> [table.name for table in load_costs()]
    ['horowitz_widths', 'ace_snn', 'horowitz', 'ace', 'acev2', 'ns_ace']
    """
    costs = list(COSTS)
    for name in filter(None, os.environ.get(COST_VARIABLE, "").split(os.pathsep)):
        cost = read_cost_table(Path(name))
        cost.name = Path(name).stem
        if cost.name in {other.name for other in costs}:
            raise InputError(f"{name}: found the name of another cost table, expected a new one")
        costs.append(cost)
    return costs


def _checked(place: str, name: str, value: Any) -> Any:
    """Return a field's value as its table takes it; raise `InputError` for another type."""
    if name in ("description", "accumulates"):
        choices = ("exact", "rate") if name == "accumulates" else ()
        if not isinstance(value, str) or (choices and value not in choices):
            raise InputError(f"{place}: found {value!r}, expected {' or '.join(choices) or 'text'}")
        return value
    if not name.endswith("_integer"):
        _require_prices(place, (value,))
        return float(value)
    if not isinstance(value, dict) or len(value) != 2 or not all(map(str.isdigit, value)):
        raise InputError(
            f"{place}: found {value!r}, expected energies in pJ of two numbers of bits"
        )
    _require_prices(place, value.values())
    return {int(bits): float(energy) for bits, energy in value.items()}


def _require_prices(place: str, values: Iterable[Any]) -> None:
    for value in values:
        if type(value) not in (int, float) or not (0 < value < math.inf):
            raise InputError(f"{place}: found {value!r}, expected a number above 0")


def _power_law(points: dict[int, float], bits: float) -> float:
    (b1, e1), (b2, e2) = sorted(points.items())
    exponent = math.log(e2 / e1) / math.log(b2 / b1)
    return e1 * math.pow(bits / b1, exponent)


for _name in SHIPPED:
    _file = resources.files("snnquant.energy").joinpath("tables", f"{_name}.toml")
    add_cost(_name, read_cost_table(_file))
