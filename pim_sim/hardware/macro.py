"""Compute-in-memory macros, described in the words of a chip paper.

A quantity that papers rarely print has a default that scales with the node
(`pim_sim.technology.node`), so that node, supply, cell, rows, columns and converter are enough.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np

from pim_sim.errors import InputError
from pim_sim.hardware.cells import Cell, cell_kind, check_read
from pim_sim.hardware.effects import without_effect
from pim_sim.schema import check_integer, check_number, check_part, check_text, refuse, set_field
from pim_sim.technology import Node, delay_ratio, energy_ratio, pitch_ratio, sram_cell_um2
from pim_sim.workload import Layer, ceil_div

Signed = Literal["offset", "differential_rows", "differential_columns"]
Encoding = Literal["bit_serial", "dac", "pulse_count", "pulse_width"]
ConverterKind = Literal["sar", "flash", "ramp"]
Adder = Literal["tree", "chain"]
WeightSigns = Literal["differential", "offset"]
InputSigns = Literal["magnitude", "offset"]

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


def _check(part: Any, table: str, choices: Mapping[str, Collection[str]]) -> None:
    check_part(part, table, choices=choices, bounds=_BOUNDS)


@dataclass(frozen=True, kw_only=True)
class CellArray:
    """The cells that multiply, and the lines that add."""

    cell: str | Cell
    """Kind of the cells: a name of `CELLS`, or the record of a new kind."""
    rows: int
    """Inputs summed in one step into one column."""
    columns: int
    """Columns of cells; one keeps one bit of a weight, or `bits_per_cell` of them."""
    bits_per_cell: int = 1
    """Weight bits of one cell as analog levels (RRAM)."""
    columns_merged: int = 1
    """Neighbouring columns, of falling bit weight, merged in analog before the conversion."""
    signed: Signed = "offset"
    """Both signs by an offset, or by two cells per bit, in two rows or in two columns."""
    depth: int = 1
    """Words kept for each place that multiplies, one of them used at a time."""
    cell_um2: float | None = None
    """Area of a cell with the part that multiplies."""
    unit_ff: float | None = None
    """Capacitor of a charge-domain cell, or unit C of a C-2C ladder."""
    line_ff: float | None = None
    """Capacitance that one cell adds to the line of its column."""
    swing_v: float | None = None
    """Mean fall of a computing bit line (6T and 8T)."""
    read_v: float | None = None
    """Voltage of a read by current; by default that of its kind of cell."""
    read_ns: float | None = None
    """Length of one read pulse of a read by current; by default the whole step, with its current
    flowing until the converter has decided."""
    conductance_us: float | None = None
    """Mean conductance of a cell read by current."""

    def __post_init__(self) -> None:
        kind = cell_kind(self.cell)
        _check(self, "array.", {"signed": get_args(Signed)})
        check_read(kind, self.conductance_us)
        if self.columns < self.columns_merged * self.column_signs:
            expected = f"at least columns_merged ({self.columns_merged * self.column_signs})"
            raise refuse("array.columns", self.columns, expected)

    @property
    def kind(self) -> Cell:
        """Record of the kind of the cells."""
        return cell_kind(self.cell)

    @property
    def column_signs(self) -> int:
        """Columns that a bit takes for its sign."""
        return 2 if self.signed == "differential_columns" else 1

    @property
    def row_signs(self) -> int:
        """Rows that an input takes for the weight's sign."""
        return 2 if self.signed == "differential_rows" else 1

    @property
    def cells(self) -> int:
        """Cells of the array, those for the sign and for further words included."""
        return self.rows * self.row_signs * self.columns * self.depth


@dataclass(frozen=True, kw_only=True)
class Input:
    """Input values and the way they reach the rows."""

    encoding: Encoding = "bit_serial"
    """One bit per step, a voltage, a number of pulses or the length of one."""
    bits_per_step: int = 1
    """Input bits applied in one step."""
    sign_magnitude: bool = False
    """True if the sign travels with a bit instead of taking its own step."""
    steps_per_conversion: int = 1
    """Steps whose charge is added up before one conversion; 1 where each step is converted."""
    mean: float = 0.5
    """Mean of the input as a share of full scale; of a bit, the share of ones."""

    def __post_init__(self) -> None:
        _check(self, "input.", {"encoding": get_args(Encoding)})
        if self.bits_per_step > 12:
            raise refuse("input.bits_per_step", self.bits_per_step, "at most 12")

    @property
    def pulses(self) -> float:
        """Pulses, or lengths of one pulse, of the longest input of a step; 1 without pulses."""
        return 2.0**self.bits_per_step - 1 if "pulse" in self.encoding else 1

    @property
    def swings(self) -> float:
        """Rises and falls of a row's line in one step, in whole supplies squared."""
        match self.encoding:
            case "pulse_count":
                return self.mean * (2.0**self.bits_per_step - 1)
            case "pulse_width":
                once: float = np.sign(self.mean)
                return once
            case "dac":
                return self.mean**2 + 1 / 12  # mean square of a value spread around its mean
        return self.mean


@dataclass(frozen=True, kw_only=True)
class Converter:
    """The analog-to-digital converters of a macro."""

    bits: int
    """Resolution in bits."""
    kind: ConverterKind = "sar"
    """One decision per bit (sar), all at once (flash) or one after another (ramp)."""
    count: int | None = None
    """Converters; by default one for each group of merged columns."""
    energy_pj: float | None = None
    """Energy of one conversion where it is known."""

    def __post_init__(self) -> None:
        _check(self, "converter.", {"kind": get_args(ConverterKind)})
        high = {"sar": 16, "flash": 8, "ramp": 12}[self.kind]
        check_integer("converter.bits", self.bits, 1, high)


@dataclass(frozen=True, kw_only=True)
class Logic:
    """The digital part: adders of a digital macro, and the logic after the converters."""

    adder: Adder = "tree"
    """Adders of a digital macro: a tree over the rows, or a chain along them."""
    rows_per_register: int | None = None
    """Rows between two pipeline registers of a chain; no registers by default."""
    booth: bool = False
    """True if two input bits of a step make one product, by Booth's code."""
    shift_and_add: bool = True
    """True if steps and columns of a product are put together inside the macro."""
    weight_density: float = 0.5
    """Share of weight bits that are 1."""

    def __post_init__(self) -> None:
        _check(self, "logic.", {"adder": get_args(Adder)})


@dataclass(frozen=True, kw_only=True)
class Macro:
    """One macro at its node and supply. Raises `InputError` for an impossible one."""

    TABLES: ClassVar[Mapping[str, tuple[str, ...]]] = {"macro": ()}
    AXES: ClassVar[tuple[str, ...]] = ("macro.array.rows", "macro.converter.bits")

    name: str
    description: str
    """One line for lists."""
    node_nm: float
    supply_v: float
    array: CellArray
    input: Input
    converter: Converter | None
    """None for a digital macro."""
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
                set_field(self, field, check_number(field, value, *_BOUNDS[field]))
        check_integer("copies", self.copies, 1)
        if self.array.kind.analog:
            self._check_analog()
        else:
            self._check_digital()
        for name, what in self.without_effect.items():
            table, field = name.split(".")
            part = getattr(self, table)
            if getattr(part, field) != getattr(type(part), field):
                raise refuse(name, getattr(part, field), f"no such field: {what}")

    @property
    def without_effect(self) -> dict[str, str]:
        """Fields that mean nothing for this kind of array, each with the reason."""
        return without_effect(self.array.kind)

    def _check_analog(self) -> None:
        array, entry = self.array, self.input
        if self.converter is None:
            raise InputError("missing table 'converter', which an analog array needs")
        if entry.encoding == "bit_serial" and entry.bits_per_step > 1:
            expected = "1 on analog rows, or another input.encoding: dac, pulse_count, pulse_width"
            raise refuse("input.bits_per_step", entry.bits_per_step, expected)
        if array.swing_v is not None and array.swing_v > self.supply_v:
            raise refuse("array.swing_v", array.swing_v, f"at most supply_v ({self.supply_v:g})")
        if array.read_v is not None and array.read_v > self.supply_v:
            raise refuse("array.read_v", array.read_v, f"at most supply_v ({self.supply_v:g})")

    def _check_digital(self) -> None:
        if self.converter is not None:
            raise refuse("converter", "a table", "none beside a digital array")
        if self.input.encoding != "bit_serial":
            raise refuse("input.encoding", self.input.encoding, "bit_serial for a digital array")

    @property
    def chained(self) -> bool:
        """True if a chain of adders sums the rows, with a full adder in every cell."""
        return self.logic.adder == "chain" and not self.array.kind.analog

    @property
    def cell_um2(self) -> float:
        """Area of a cell: as given, or the usual one of its kind."""
        if self.array.cell_um2 is not None:
            return self.array.cell_um2
        kind = self.array.kind
        area_6t = kind.area_6t + kind.adder_area_6t * self.chained
        return area_6t * sram_cell_um2(self.node_nm)

    @property
    def row_line_ff(self) -> float:
        """Capacitance that one cell adds to the line of its row."""
        kind = self.array.kind
        transistors = kind.row_transistors + kind.adder_row_transistors * self.chained
        return Node(self.node_nm, self.supply_v).line_ff(self.cell_um2, transistors)

    @property
    def groups(self) -> int:
        """Sums that the columns make in one step: columns merged and signed taken together.

        A chain of adders takes further columns for the bits that a sum over the rows grows by.
        """
        width = self.array.columns_merged
        if self.chained:
            width = width + self.row_bits  # not in place: a sweep has arrays here
        return self.array.columns // (width * self.array.column_signs)

    @property
    def converters(self) -> int:
        """Converters of the macro; 0 for a digital one."""
        if self.converter is None:
            return 0
        return self.groups if self.converter.count is None else self.converter.count

    @property
    def conversions_in_turn(self) -> int:
        """Conversions that one converter makes per step, one after another; 0 without any."""
        return 0 if self.converter is None else ceil_div(self.groups, self.converters)

    @property
    def row_bits(self) -> int:
        """Bits by which a sum over all rows is wider than one of its terms."""
        bits: int = np.ceil(np.log2(self.array.rows))
        return bits

    @property
    def converts(self) -> bool:
        """True if sums pass a converter."""
        return self.converter is not None

    @property
    def adc_bits(self) -> int:
        """Bits of a conversion; 0 for a digital macro."""
        return 0 if self.converter is None else self.converter.bits

    @property
    def input_bits_per_conversion(self) -> int:
        """Input bits whose products are added up before one conversion."""
        return self.input.bits_per_step * self.input.steps_per_conversion

    @property
    def weight_bits_per_column(self) -> int:
        """Weight bits that one conversion reads."""
        return self.array.bits_per_cell * self.array.columns_merged

    @property
    def weight_signs(self) -> WeightSigns:
        """Representation of weights of both signs."""
        return "offset" if self.array.signed == "offset" else "differential"

    @property
    def products_at_once(self) -> int:
        """Maximum of products that one conversion adds up."""
        return self.array.rows

    @property
    def input_signs(self) -> InputSigns:
        """Representation of inputs of both signs: a sign beside the steps, or an offset on all."""
        return "magnitude" if self.input.sign_magnitude else "offset"

    def weight_digits(self, weight_bits: int) -> int:
        """Return the bits of a weight that cells keep: of two signed cells each its magnitude."""
        if self.weight_signs == "offset":
            return weight_bits
        digits: int = np.maximum(1, weight_bits - 1)
        return digits

    def input_digits(self, input_bits: int) -> int:
        """Return the bits of an input that steps apply: all, or those beside its sign."""
        if not self.input.sign_magnitude:
            return input_bits
        digits: int = np.maximum(1, input_bits - 1)
        return digits

    def holds(self, weight_bits: int) -> bool:
        """Return whether the columns hold one weight; arrays of bits or columns give arrays."""
        array = self.array
        if self.chained:
            needed = weight_bits + self.row_bits
        else:
            digits = self.weight_digits(weight_bits)
            needed = ceil_div(digits, self.weight_bits_per_column) * array.columns_merged
        return needed * array.column_signs <= array.columns

    def largest_sum(self, layer: Layer) -> float:
        """Return the largest value of one analog sum, in steps of the smallest product."""
        digits = self.input_digits(layer.input_bits)
        inputs = np.minimum(self.input_bits_per_conversion, digits)
        weights = np.minimum(self.weight_bits_per_column, self.weight_digits(layer.weight_bits))
        summed = np.minimum(float(layer.fan_in), self.array.rows)
        largest: float = summed * (2.0**inputs - 1) * (2.0**weights - 1)
        return largest

    def at(self, node_nm: float, supply_v: float) -> Self:
        """Return the macro at another node and supply; `InputError` outside the limits.

        Times, areas, capacitances and energies that the macro states move by the law of those that
        it leaves to the model; voltages by the supply.
        """
        moved = replace(self, node_nm=node_nm, supply_v=supply_v, cycle_ns=None, area_mm2=None)
        length = pitch_ratio(self.node_nm, node_nm)
        energy = energy_ratio(self.node_nm, self.supply_v, node_nm, supply_v)
        time = delay_ratio(self.node_nm, self.supply_v, node_nm, supply_v)
        array, converter, volts = self.array, self.converter, supply_v / self.supply_v
        return replace(
            moved,
            cycle_ns=_times(self.cycle_ns, time),
            area_mm2=_times(self.area_mm2, length**2),
            array=replace(
                array,
                cell_um2=_times(array.cell_um2, length**2),
                line_ff=_times(array.line_ff, length),
                swing_v=_times(array.swing_v, volts),
                read_ns=_times(array.read_ns, time),
            ),
            converter=converter
            and replace(converter, energy_pj=_times(converter.energy_pj, energy)),
        )


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
