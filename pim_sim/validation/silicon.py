"""Energy per operation of the digital side beside shipped spiking chips and CNN accelerators.

`silicon.csv` holds what papers and vendors print; nothing was fitted to it. The digital side is
that of the shipped technologies, moved to the node and supply of the chip by the law that moves
everything else. A multiply-accumulate reads its two operands from 8 KB once per `REUSE` uses; a
synaptic operation adds one weight to a membrane of 16 bits, with a weight read and the membrane
read and written. Whole chips spend more (clocks, routers, control, idle neurons) or less (zeros
skipped), so a factor of a few is agreement.
"""

from __future__ import annotations

import csv
import functools
import re
from dataclasses import dataclass
from pathlib import Path

from pim_sim.technology import cost, energy_ratio

_FILE = Path(__file__).with_name("silicon.csv")
REUSE = 16
"""Uses of an operand per read: rows of an array of 16 x 16 multipliers."""
MEMBRANE_BITS = 16
_NODE_NM, _SUPPLY_V, _WORD_BITS = 45.0, 0.9, 64
_ELSEWHERE = ("software", "in-memory")
"""Flags of chips that compute on processor cores, or are macros themselves."""


@dataclass(frozen=True, kw_only=True)
class Silicon:
    """One shipped chip beside the digital side at its node, supply and bits."""

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
    ours = mac_pj(node, supply, *bits) if operation == "MAC" else sop_pj(node, supply, bits[1])
    return Silicon(
        chip=row["chip"],
        operation=operation,
        node_nm=node,
        supply_v=supply,
        bits=bits,
        measured_pj=float(row["energy_pj"]),
        ours_pj=ours,
        basis=row["energy_basis"],
        source=row["source"],
    )


def mac_pj(node_nm: float, supply_v: float, input_bits: int, weight_bits: int) -> float:
    """Return the energy of a multiply-accumulate with its share of the operands' reads."""
    multiply = cost("int_multiply", family="horowitz", bits=8).value
    multiply *= input_bits * weight_bits / 64
    reads = _read_pj(input_bits + weight_bits) / REUSE
    return (multiply + _add_pj(input_bits + weight_bits) + reads) * _moved(node_nm, supply_v)


def sop_pj(node_nm: float, supply_v: float, weight_bits: int) -> float:
    """Return the energy of adding one weight to one membrane."""
    moved_bits = weight_bits + 2 * MEMBRANE_BITS
    return (_add_pj(MEMBRANE_BITS) + _read_pj(moved_bits)) * _moved(node_nm, supply_v)


def _add_pj(bits: int) -> float:
    return cost("int_add", family="horowitz", bits=8).value * bits / 8


def _read_pj(bits: int) -> float:
    return cost("sram_read_8kb", family="cacti").value * bits / _WORD_BITS


def _moved(node_nm: float, supply_v: float) -> float:
    return energy_ratio(_NODE_NM, _SUPPLY_V, node_nm, supply_v)


def _usual_v(node_nm: float) -> float:
    return 1.0 if node_nm >= 55 else 0.9 if node_nm >= 28 else 0.8


def _bits(text: str) -> tuple[int, int]:
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if "ternary" in text:
        return 2, 2
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    return 8, numbers[0] if numbers else 8
