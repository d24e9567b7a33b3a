"""The parts of a piece of hardware, each a frozen dataclass that checks its own numbers."""

from __future__ import annotations

from dataclasses import dataclass

from pim_sim.checks import check_text, refuse
from pim_sim.hardware.adc import ADC
from pim_sim.hardware.limits import check_part, check_quantity


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The SRAM that both designs read weights and inputs from."""

    word_bits: int
    """Bits of one read (B_IO)."""
    banks: int
    """Banks that work at the same time (N_bank), as memories or as arrays that compute."""
    read_energy_pj: float
    """Energy of reading one word (E_read)."""
    read_time_ns: float
    """Time of reading one word (t_read)."""

    def __post_init__(self) -> None:
        check_part(self, "memory")


@dataclass(frozen=True, kw_only=True)
class Digital:
    """Multipliers that each hold one weight while every output position passes."""

    multipliers: int
    """Multipliers that work at the same time (N_mult)."""
    operand_bits: int
    """Bits of both operands and of the sum at which the energies below hold."""
    multiply_energy_pj: float
    """Energy of one multiplication at `operand_bits` (E_mult)."""
    add_energy_pj: float
    """Energy of one addition at `operand_bits` (E_add)."""
    multiply_time_ns: float
    """Time of one multiplication and its addition, at any bits (t_mult)."""

    def __post_init__(self) -> None:
        check_part(self, "digital")


@dataclass(frozen=True, kw_only=True)
class Array:
    """A 6T-SRAM array whose bit lines compute (one of them a bank)."""

    rows: int
    """Word lines."""
    columns: int
    """Bit lines, each with its bit-line processor."""
    weight_bits_per_column: int
    """Most weight bits that one functional read turns into one bit-line voltage."""
    input_bits_per_step: int
    """Most input bits that a bit-line processor takes at once."""
    functional_read_energy_pj: float
    """Energy of a functional read, a column."""
    functional_read_time_ns: float
    """Time of a functional read."""
    accumulate_energy_pj: float
    """Energy of one bit-line multiplication and accumulation (E_BLP), a column."""
    accumulate_time_ns: float
    """Time of the bit-line processing of one functional read."""

    def __post_init__(self) -> None:
        check_part(self, "array")
        if self.rows < self.weight_bits_per_column:
            expected = f"at least weight_bits_per_column ({self.weight_bits_per_column})"
            raise refuse("array.rows", self.rows, expected)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One technology, digital and in memory, at one node."""

    name: str
    """Name of its file, without the ending."""
    description: str
    """What it stands for, on one line."""
    node_nm: float
    """Technology node that every energy and time of the file holds at."""
    memory: Memory
    digital: Digital
    array: Array
    adc: ADC

    def __post_init__(self) -> None:
        check_text("description", self.description)
        object.__setattr__(self, "node_nm", check_quantity("node_nm", self.node_nm))
