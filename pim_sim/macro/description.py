"""A compute-in-memory macro, in the words a chip paper uses.

What a paper rarely prints has a default that scales with the node (`pim_sim.macro.technology`), so
that node, supply, cell, rows, columns and converter are enough.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from pim_sim.checks import check_choice, check_integer, check_number, check_text, refuse
from pim_sim.errors import InputError
from pim_sim.numeric import bit_length, ceil_div

Cell = Literal["sram_6t", "sram_8t", "charge", "c2c", "rram", "digital"]
Signed = Literal["offset", "differential_rows", "differential_columns"]
Encoding = Literal["bit_serial", "dac", "pulse_count", "pulse_width"]
ConverterKind = Literal["sar", "flash", "ramp"]
Adder = Literal["tree", "chain"]

_BOUNDS: dict[str, tuple[float, float]] = {
    "node_nm": (3, 250),
    "supply_v": (0.3, 5),
    "cycle_ns": (1e-3, 1e6),
    "area_mm2": (1e-6, 1e4),
    "cell_um2": (1e-4, 1e3),
    "unit_ff": (1e-3, 1e3),
    "line_ff": (1e-3, 1e3),
    "read_v": (1e-2, 5),
    "read_ns": (1e-3, 1e5),
    "conductance_us": (1e-3, 1e4),
    "swing_v": (1e-2, 5),
    "energy_pj": (1e-6, 1e4),
    "mean": (0, 1),
    "weight_density": (0, 1),
}


def _check(part: Any, table: str, choices: dict[str, Any]) -> None:
    """Every field of a frozen dataclass: words, truths, counts from 1, numbers by their bounds."""
    for field in fields(part):
        name, value = f"{table}{field.name}", getattr(part, field.name)
        if field.name in choices:
            check_choice(name, value, get_args(choices[field.name]))
        elif value is None:
            continue
        elif field.name in _BOUNDS:
            object.__setattr__(part, field.name, check_number(name, value, *_BOUNDS[field.name]))
        elif isinstance(field.default, bool):
            if not isinstance(value, bool):
                raise refuse(name, value, "true or false")
        else:
            check_integer(name, value, 1)


@dataclass(frozen=True, kw_only=True)
class CellArray:
    """The cells that multiply, and the lines that add."""

    cell: Cell
    """What a bit is kept and multiplied in."""
    rows: int
    """Inputs summed in one step into one column."""
    columns: int
    """Columns of cells; one keeps one bit of a weight, or `bits_per_cell` of them."""
    bits_per_cell: int = 1
    """Weight bits of one cell as analog levels (RRAM)."""
    columns_merged: int = 1
    """Neighbouring columns, of falling bit weight, merged in analog before the conversion."""
    signed: Signed = "offset"
    """Both signs by an offset, or by two cells a bit, in two rows or in two columns."""
    depth: int = 1
    """Words kept for each place that multiplies, one of them used at a time."""
    cell_um2: float | None = None
    """Area of a cell with what multiplies in it."""
    unit_ff: float | None = None
    """Capacitor of a charge-domain cell, or unit C of a C-2C ladder."""
    line_ff: float | None = None
    """Capacitance that one cell adds to the line of its column."""
    swing_v: float | None = None
    """Mean fall of a computing bit line (6T and 8T)."""
    read_v: float = 0.5
    """Voltage at which an RRAM cell is read, as NeuRRAM's."""
    read_ns: float = 10.0
    """Length of one read pulse of an RRAM cell, as NeuRRAM's."""
    conductance_us: float | None = None
    """Mean conductance of an RRAM cell."""

    def __post_init__(self) -> None:
        _check(self, "array.", {"cell": Cell, "signed": Signed})
        if self.columns < self.columns_merged * self.column_signs:
            expected = f"at least columns_merged ({self.columns_merged * self.column_signs})"
            raise refuse("array.columns", self.columns, expected)

    @property
    def column_signs(self) -> int:
        """Columns that a bit takes for its sign."""
        return 2 if self.signed == "differential_columns" else 1

    @property
    def row_signs(self) -> int:
        """Rows that an input takes for the weight's sign."""
        return 2 if self.signed == "differential_rows" else 1


@dataclass(frozen=True, kw_only=True)
class Input:
    """How input values reach the rows."""

    encoding: Encoding = "bit_serial"
    """One bit a step, a voltage, a number of pulses or the length of one."""
    bits_per_step: int = 1
    """Input bits applied in one step."""
    sign_magnitude: bool = False
    """Whether the sign travels with a bit instead of taking a step of its own."""
    steps_per_conversion: int = 1
    """Steps whose charge is added up before one conversion; 1 where each step is converted."""
    mean: float = 0.5
    """Mean of the input as a share of full scale; of a bit, how often it is 1."""

    def __post_init__(self) -> None:
        _check(self, "input.", {"encoding": Encoding})
        if self.encoding == "bit_serial" and self.bits_per_step > 4:
            raise refuse(
                "input.bits_per_step", self.bits_per_step, "at most 4 bits in a step of bits"
            )
        if self.bits_per_step > 12:
            raise refuse("input.bits_per_step", self.bits_per_step, "at most 12")


@dataclass(frozen=True, kw_only=True)
class Converter:
    """The analog-to-digital converters."""

    bits: int
    """Resolution."""
    kind: ConverterKind = "sar"
    """One decision a bit (sar), all at once (flash) or one after another (ramp)."""
    count: int | None = None
    """Converters; by default one for each group of merged columns."""
    energy_pj: float | None = None
    """Energy of one conversion where it is known."""

    def __post_init__(self) -> None:
        _check(self, "converter.", {"kind": ConverterKind})
        most = {"sar": 16, "flash": 8, "ramp": 12}[self.kind]
        check_integer("converter.bits", self.bits, 1, most)


@dataclass(frozen=True, kw_only=True)
class Logic:
    """The digital part: adders of a digital macro, and what follows the converters."""

    adder: Adder = "tree"
    """Adders of a digital macro: a tree over the rows, or a chain along them."""
    rows_per_register: int | None = None
    """Rows between two pipeline registers of a chain; none by default."""
    booth: bool = False
    """Whether two input bits of a step make one product, by Booth's code."""
    shift_and_add: bool = True
    """Whether steps and columns of a product are put together inside the macro."""
    weight_density: float = 0.5
    """Share of weight bits that are 1."""

    def __post_init__(self) -> None:
        _check(self, "logic.", {"adder": Adder})


@dataclass(frozen=True, kw_only=True)
class Macro:
    """One macro at its node and supply. Raises `InputError` for what cannot be built."""

    name: str
    description: str
    """What it is, on one line."""
    node_nm: float
    supply_v: float
    array: CellArray
    input: Input
    converter: Converter | None
    """None for a digital macro alone."""
    logic: Logic
    cycle_ns: float | None = None
    """Time of one step where it is known."""
    area_mm2: float | None = None
    """Area of one macro where it is known."""
    copies: int = 1
    """Macros of the chip that work at the same time."""

    def __post_init__(self) -> None:
        check_text("description", self.description)
        for field in ("node_nm", "supply_v", "cycle_ns", "area_mm2"):
            if (value := getattr(self, field)) is not None:
                object.__setattr__(self, field, check_number(field, value, *_BOUNDS[field]))
        check_integer("copies", self.copies, 1)
        digital = self.array.cell == "digital"
        if digital and self.converter is not None:
            raise refuse("converter", "a table", "none beside a digital array")
        if not digital and self.converter is None:
            raise InputError(f"missing table 'converter', which a {self.array.cell} array needs")
        if digital and self.input.encoding != "bit_serial":
            raise refuse("input.encoding", self.input.encoding, "bit_serial for a digital array")

    @property
    def groups(self) -> int:
        """Sums that the columns make in one step: columns merged and signed taken together.

        A chain of adders takes further columns for the bits that a sum over the rows grows by.
        """
        width = self.array.columns_merged
        if self.array.cell == "digital" and self.logic.adder == "chain":
            width = width + self.row_bits  # not in place: a sweep has arrays here
        return self.array.columns // (width * self.array.column_signs)

    @property
    def converters(self) -> int:
        """Converters of the macro; 0 of a digital one."""
        if self.converter is None:
            return 0
        return self.groups if self.converter.count is None else self.converter.count

    @property
    def conversions_in_turn(self) -> int:
        """Conversions that one converter makes in a step, one after another; 0 without any."""
        return 0 if self.converter is None else ceil_div(self.groups, self.converters)

    @property
    def row_bits(self) -> int:
        """Bits that a sum over all rows is wider than one of its terms."""
        return bit_length(self.array.rows - 1)
