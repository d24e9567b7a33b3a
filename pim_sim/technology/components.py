"""Table of component costs: `costs.csv`, each row with its conditions and its source.

`scripts/calibration/make_component_costs.py` writes the file from the named papers, laws and open
tools; it never changes at run time.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

from pim_sim.errors import InputError
from pim_sim.schema import refuse

_FILE = Path(__file__).with_name("costs.csv")


@dataclass(frozen=True)
class CostRow:
    """One component cost under its conditions."""

    name: str
    """Component, for example ``int_multiply``."""
    family: str
    """Origin: rows of one family are consistent with each other, rows of two are not."""
    value: float
    unit: str
    """pJ, fF, um2, ns, ... of `value`."""
    node_nm: float
    """Technology node of the value; 0 for any node."""
    voltage_v: float
    """Supply of the value; 0 where the value does not depend on it."""
    bits: int
    """Bits of the operand, word or converter; 0 for a component without bits."""
    kind: str
    """``measured``, ``fitted``, ``printed`` (by a tool), ``bound`` or ``recalled``."""
    valid: str
    """Range of validity."""
    source: str
    """Paper, tool or law behind the value."""


@functools.cache
def component_costs() -> tuple[CostRow, ...]:
    """Return every row of the table, in the order of the file."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return tuple(_row(record) for record in csv.DictReader(file))


@functools.lru_cache(maxsize=256)
def cost(name: str, *, family: str | None = None, node_nm: float = 0, bits: int = 0) -> CostRow:
    """Return the one row of this name, and of this family, node and bits where they are given.

    Nothing is interpolated and no node is silently exchanged for another: where not exactly one row
    fits, `InputError` names the request and the rows of the table.
    """
    named = [row for row in component_costs() if row.name == name]
    found = [
        row
        for row in named
        if family in (None, row.family) and node_nm in (0, row.node_nm) and bits in (0, row.bits)
    ]
    if len(found) == 1:
        return found[0]
    if not named:
        raise refuse("component", name, "a name of the table of component costs")
    asked = f"{name} (family {family or 'any'}, {node_nm or 'any'} nm, {bits or 'any'} bits)"
    held = ", ".join(f"{row.family} {row.node_nm:g} nm {row.bits} bits" for row in named)
    raise InputError(f"component {asked}: {len(found)} rows fit, the table holds {held}")


def _row(record: dict[str, str]) -> CostRow:
    return CostRow(
        name=record["name"],
        family=record["family"],
        value=float(record["value"]),
        unit=record["unit"],
        node_nm=float(record["node_nm"]),
        voltage_v=float(record["voltage_v"]),
        bits=int(record["bits"]),
        kind=record["kind"],
        valid=record["valid"],
        source=record["source"],
    )
