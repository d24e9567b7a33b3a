"""Networks of several runs beside each other: scores, energies, Pareto front, paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from snnquant.report.json_records import Record
from snnquant.report.paired_test import McNemar, holm

SCHEMA = 1
Column = Literal["run", "oa", "aa", "kappa", "energy", "memory", "compute", "bytes"]
HIGH_FIRST = ("oa", "aa", "kappa")
"""Columns that are sorted from high to low."""


@dataclass(frozen=True)
class ChipEnergy:
    """Energy per pixel classified on its own, on a chip, every layer with its best mapping."""

    chip: str
    """Name of the chip."""
    total_nj: float
    """All of it, in nJ per pixel."""
    compute_nj: float
    """Multipliers, adders, their registers, neurons and control, in nJ per pixel."""
    memory_nj: float
    """Buffers and DRAM, in nJ per pixel."""
    transfer_nj: float
    """Links, arrival of the pixel and leakage, in nJ per pixel."""
    weight_bytes: float
    """Bytes of the weights."""


@dataclass(frozen=True)
class Compared:
    """A network of a run."""

    number: int
    """Number by which other parts refer to it, from 1."""
    run: str
    """Run folder."""
    network: str
    """Key of the network, such as snn_trained."""
    scene: str
    """Name of the scene."""
    split: str
    """Protocol and seed of the split."""
    test_pixels: int
    """Test pixels of the run."""
    oa: float
    """Overall accuracy on them, 0 to 1."""
    aa: float
    """Average accuracy over classes with test pixels, 0 to 1."""
    kappa: float
    """Agreement beyond chance, -1 to 1."""
    energy: ChipEnergy | None = None
    """Energy on the chip; None for a network of which the run describes no workload."""
    compute_only_nj: float | None = None
    """Arithmetic at true widths by the cost table horowitz_widths, in nJ per pixel."""
    dominated_by: tuple[int, ...] = ()
    """Numbers of networks of the same scene with an OA as high and an energy as low, one of them
    better; empty on the Pareto front."""

    def value(self, column: Column) -> float | str | None:
        """Return its value in a column of the table."""
        if column == "run":
            return f"{self.run} {self.network}"
        if column in HIGH_FIRST:
            return float(getattr(self, column))
        names = {"energy": "total_nj", "memory": "memory_nj", "compute": "compute_nj"}
        name = names.get(column, "weight_bytes")
        return None if self.energy is None else float(getattr(self.energy, name))


@dataclass(frozen=True)
class Pair:
    """Two networks on the test pixels that their runs share."""

    first: int
    """Number of the first network."""
    second: int
    """Number of the second one."""
    common: int
    """Test pixels of both runs."""
    test: McNemar | None = None
    """The paired test; None where it is refused."""
    p_holm: float | None = None
    """p-value corrected for the number of tests."""
    remark: str | None = None
    """Reason for a refusal, or for pixels that are left out."""
    difference_map: str | None = None
    """PNG file of the difference map, if one was written."""


@dataclass(frozen=True)
class Comparison(Record):
    """Content of `snnquant compare --json`."""

    networks: tuple[Compared, ...]
    """Networks in the order of the table."""
    pairs: tuple[Pair, ...]
    """Every two of them."""
    schema: int = SCHEMA
    """Number that changes when a key is renamed, removed or gets another meaning."""


def with_front(networks: Sequence[Compared]) -> list[Compared]:
    """Return networks with the numbers of those that dominate them in OA and energy.

    >>> def network(number, oa, nj):
    ...     energy = ChipEnergy("chip", nj, nj, 0.0, 0.0, 9.0)
    ...     return Compared(number, "run", "snn_trained", "field", "random", 9, oa, oa, oa, energy)
    >>> networks = [network(1, 0.9, 5.0), network(2, 0.8, 9.0), network(3, 0.7, 2.0)]
    >>> [row.dominated_by for row in with_front(networks)]
    [(), (1,), ()]
    """

    def dominates(other: Compared, row: Compared) -> bool:
        if other.energy is None or row.energy is None or other.scene != row.scene:
            return False
        ours, theirs = (row.oa, -row.energy.total_nj), (other.oa, -other.energy.total_nj)
        return ours != theirs and theirs[0] >= ours[0] and theirs[1] >= ours[1]

    return [
        replace(
            row, dominated_by=tuple(other.number for other in networks if dominates(other, row))
        )
        for row in networks
    ]


def in_order(networks: Sequence[Compared], column: Column) -> list[Compared]:
    """Sort networks by a column, the better first; those without a value come last."""
    known = [row for row in networks if row.value(column) is not None]
    known.sort(key=lambda row: row.value(column), reverse=column in HIGH_FIRST)  # type: ignore[arg-type,return-value]
    return known + [row for row in networks if row.value(column) is None]


def with_correction(pairs: Sequence[Pair]) -> list[Pair]:
    """Return pairs with the p-values of their tests corrected for the number of tests."""
    corrected = iter(holm([pair.test.p for pair in pairs if pair.test is not None]))
    return [pair if pair.test is None else replace(pair, p_holm=next(corrected)) for pair in pairs]
