"""The parts of a piece of hardware, each a frozen dataclass that checks its own numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from pim_sim.checks import check_choice, check_integer, check_number, check_text, refuse
from pim_sim.errors import InputError
from pim_sim.hardware.adc import ADC
from pim_sim.hardware.limits import check_part, check_quantity
from pim_sim.macro.description import Macro

Packing = Literal["none", "duplicate", "shifted"]


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
    scaled: bool = True
    """Whether the energies follow the layer's bits, or hold for an operation of any bits."""

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
class Mapping:
    """How a layer may be laid out on the macros of a chip."""

    packing: Packing = "shifted"
    """What fills the rows that a small kernel leaves: nothing, further windows beside the first, or
    one longer window along the first spatial axis, with a shifted copy of the filters for each."""
    pipelined: bool = True
    """Whether the rows take the next input while the converters still work on the last."""
    pixels_per_load: int = 21_025
    """Pixels classified before the weights are loaded again, on either side; by default those of a
    scene of 145x145, Indian Pines."""

    def __post_init__(self) -> None:
        check_choice("mapping.packing", self.packing, get_args(Packing))
        if not isinstance(self.pipelined, bool):
            raise refuse("mapping.pipelined", self.pipelined, "true or false")
        check_integer("mapping.pixels_per_load", self.pixels_per_load, 1)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What the analog part of a chip adds to exact arithmetic; 0 is ideal.

    Standard deviations over steps (thermal) or over the columns of one chip (the others).
    """

    thermal_lsb: float = 0.0
    """Noise of a conversion, in steps of the converter."""
    offset_lsb: float = 0.0
    """Offset of a column, in steps of the converter."""
    gain: float = 0.0
    """Error of a column's gain, a share."""
    capacitor: float = 0.0
    """Mismatch of one cell's capacitor or current, a share."""
    inl_lsb: float = 0.0
    """Largest deviation of the converter from a straight line, in its steps."""
    droop: float = 0.0
    """Fall of the supply when every row is driven, a share."""

    def __post_init__(self) -> None:
        for name in ("thermal_lsb", "offset_lsb", "inl_lsb"):
            _set(self, name, check_number(f"noise.{name}", getattr(self, name), 0, 1e3))
        for name in ("gain", "capacitor", "droop"):
            _set(self, name, check_number(f"noise.{name}", getattr(self, name), 0, 1))


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One technology, digital and in memory, at one node.

    In memory it is either one bit-line array with its converter (`array` and `adc`), or a macro.
    """

    name: str
    """Name of its file, without the ending."""
    description: str
    """What it stands for, on one line."""
    node_nm: float
    """Technology node that every energy and time of the file holds at."""
    memory: Memory
    digital: Digital
    array: Array | None = None
    adc: ADC | None = None
    macro: Macro | None = None
    """The macro that computes in memory, of the same node; `Macro.copies` of them."""
    digital_macro: Macro | None = None
    """A digital macro that stands for the digital side, in place of the multipliers."""
    mapping: Mapping = field(default_factory=Mapping)
    noise: Noise = field(default_factory=Noise)
    complete: bool = True
    """Whether control and the writing of outputs are charged; ACE-SNN's equations have neither."""

    def __post_init__(self) -> None:
        check_text("description", self.description)
        if not isinstance(self.complete, bool):
            raise refuse("complete", self.complete, "true or false")
        _set(self, "node_nm", check_quantity("node_nm", self.node_nm))
        if (self.array is None) != (self.adc is None):
            raise InputError("array and adc: found one, expected both or neither")
        if (self.array is None) == (self.macro is None):
            raise InputError("expected either the tables array and adc, or the table macro")
        for table in ("macro", "digital_macro"):
            if (macro := getattr(self, table)) is not None and macro.node_nm != self.node_nm:
                expected = f"{self.node_nm:g}: both sides of a comparison at one node"
                raise refuse(f"{table}.node_nm", macro.node_nm, expected)

    @property
    def supply_v(self) -> float | None:
        """Supply of both sides where the file says it, as it does beside a macro."""
        return self.macro.supply_v if self.macro is not None else None

    @property
    def adc_bits(self) -> int:
        """Bits of a conversion; 0 where nothing is converted."""
        if self.adc is not None:
            return self.adc.bits
        assert self.macro is not None
        return self.macro.converter.bits if self.macro.converter is not None else 0

    @property
    def input_bits_at_once(self) -> int:
        """Input bits that the array takes in one step, so bits of the DAC."""
        if self.array is not None:
            return self.array.input_bits_per_step
        assert self.macro is not None
        return self.macro.input.bits_per_step

    @property
    def input_bits_a_conversion(self) -> int:
        """Input bits whose products are added up before one conversion."""
        steps = self.macro.input.steps_per_conversion if self.macro is not None else 1
        return self.input_bits_at_once * steps

    @property
    def weight_bits_a_column(self) -> int:
        """Weight bits that one conversion reads."""
        if self.array is not None:
            return self.array.weight_bits_per_column
        assert self.macro is not None
        return self.macro.array.bits_per_cell * self.macro.array.columns_merged

    @property
    def weight_signs(self) -> Literal["differential", "offset"]:
        """How weights of both signs are kept; a 6T column has two bit lines."""
        if self.macro is not None and self.macro.array.signed == "offset":
            return "offset"
        return "differential"

    @property
    def products_at_once(self) -> int:
        """Most products that one conversion adds up."""
        if self.array is not None:
            return self.array.columns
        assert self.macro is not None
        return self.macro.array.rows


def _set(part: object, field: str, value: float) -> None:
    object.__setattr__(part, field, value)
