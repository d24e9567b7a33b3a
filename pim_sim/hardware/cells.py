"""Kinds of memory cells that compute, one record per kind, and the laws of reading them.

A hardware file names a kind of `CELLS`, or describes its own kind in a table ``[macro.array.cell]``
with the fields of `Cell`. A plugin adds a kind that several files share by
``CELLS.register("fefet")(Cell(...))``, and physics of its own by ``READS.register("fefet")(law)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pim_sim.errors import InputError
from pim_sim.registry import Registry
from pim_sim.schema import check_choice, check_part
from pim_sim.technology import cost

_BOUNDS = {
    "area_6t": (1e-3, 1e3),
    "row_transistors": (0.0, 100.0),
    "unit_capacitors": (0.0, 100.0),
    "drive_gates": (0.0, 100.0),
    "conductance_us": (1e-3, 1e4),
    "read_v": (1e-2, 5.0),
    "write_pulse_pj": (1e-9, 1e6),
    "write_pulse_ns": (1e-6, 1e6),
    "write_pulses": (1.0, 1e6),
    "adder_area_6t": (0.0, 1e3),
    "adder_row_transistors": (0.0, 100.0),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of an array, as a law of reading sees it: counts, capacitances and voltages."""

    rows: float
    """Inputs applied."""
    columns: float
    """Columns of cells read."""
    row_signs: int
    """Rows that an input takes for the weight's sign."""
    depth: int
    """Words kept for each place that multiplies."""
    supply_v: float
    gate_ff: float
    """Input capacitance of a gate."""
    line_ff: float
    """Capacitance that one cell adds to the line of its column."""
    unit_ff: float
    """Unit capacitor of a cell."""
    conductance_us: float | None
    """Mean conductance of a cell, where the array states it."""
    swing_v: float | None
    """Mean fall of a bit line, where the array states it."""
    read_v: float
    read_ns: float
    swings: float
    """Rises and falls of a row's line, in whole supplies squared."""
    mean: float
    """Mean of the input as a share of full scale."""
    input_bits: int
    """Input bits of the step."""
    weight_density: float = 0.5
    """Share of weight bits that are 1."""

    @property
    def cells(self) -> float:
        """Cells read, those for the sign included."""
        return self.rows * self.columns * self.row_signs


ReadLaw = Callable[["Cell", Step], float]
"""Energy in fJ of all cells in one step."""
READS: Registry[ReadLaw] = Registry("read law")
"""Laws of reading a cell, by the name that `Cell.read` gives.

>>> READS.names()[:2]
['capacitor', 'current']
"""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One kind of memory cell.

    Arguments are the fields below, the first three required; areas in 6T cells of the node,
    energies in pJ, times in ns, conductances in uS.

    Raises:
        InputError: a value is impossible, or only some of the write fields are given.

    >>> Cell(area_6t=0.3, row_transistors=1, read="current", conductance_us=0.5).analog
    True
    """

    area_6t: float
    """Area with the part that multiplies, in areas of a 6T SRAM cell of the node."""
    row_transistors: float
    """Small transistors that hang on the line of the cell's row."""
    read: str
    """Law of the energy of a step, of `READS`."""
    unit_capacitors: float = 0.0
    """Capacitors charged in a step, in unit capacitors (read law "capacitor")."""
    drive_gates: float = 0.0
    """Gates of the cell that switch with the capacitor (read law "capacitor")."""
    conductance_us: float | None = None
    """Mean conductance, unless the array states it (read law "current")."""
    read_v: float = 0.5
    """Voltage of a read, unless the array states it (read law "current")."""
    analog: bool = True
    """True if columns add in analog, before a converter; otherwise adders do, digitally."""
    volatile: bool = True
    """True if the supply holds the state, so that the cell leaks."""
    write_pulses: float | None = None
    """Pulses that write one cell; none for a cell that a memory word writes, as in SRAM."""
    write_pulse_pj: float | None = None
    """Energy of one write pulse."""
    write_pulse_ns: float | None = None
    """Time of one write pulse; the cells of a row are written at once."""
    adder_area_6t: float = 0.0
    """Area of the full adder that a chain of adders puts into a digital cell."""
    adder_row_transistors: float = 0.0
    """Transistors that this adder hangs on the line of the row."""

    def __post_init__(self) -> None:
        check_part(self, "array.cell.", bounds=_BOUNDS)
        writes = (self.write_pulses, self.write_pulse_pj, self.write_pulse_ns)
        if len({value is None for value in writes}) > 1:
            fields = "write_pulses, write_pulse_pj and write_pulse_ns"
            raise InputError(f"array.cell: {fields}: found some, expected all three or none")


CELLS: Registry[Cell] = Registry("array.cell")
"""Kinds of cells that a hardware file may name.

>>> "charge" in CELLS, CELLS.get("charge").read
(True, 'capacitor')
"""


def cell_kind(name_or_cell: object) -> Cell:
    """Return the kind of a name, or the record itself.

    Raises `InputError` for an unknown name, or a record with an unknown law of reading.
    """
    if not isinstance(name_or_cell, Cell):
        return CELLS.get(check_choice("array.cell", name_or_cell, CELLS.names()))
    check_choice("array.cell.read", name_or_cell.read, READS.names())
    return name_or_cell


def check_read(cell: Cell, conductance_us: float | None) -> None:
    """Read a cell once, so that a value which its law lacks is refused with the file."""
    once = Step(
        rows=1, columns=1, row_signs=1, depth=1, supply_v=1.0, gate_ff=1.0, line_ff=1.0,
        unit_ff=1.0, conductance_us=conductance_us, swing_v=None, read_v=1.0, read_ns=1.0,
        swings=1.0, mean=0.5, input_bits=1,
    )  # fmt: skip
    READS.get(cell.read)(cell, once)


@READS.register("capacitor")
def _capacitor_fj(cell: Cell, step: Step) -> float:
    """Charge capacitors that products drive, through gates of the cell, onto a line."""
    switched = cell.unit_capacitors * step.unit_ff + cell.drive_gates * step.gate_ff + step.line_ff
    ones = 2 * step.weight_density  # a cell of 0 stands still; 1 at half of each
    return step.cells * switched * step.supply_v**2 * step.swings * ones


@READS.register("current")
def _current_fj(cell: Cell, step: Step) -> float:
    """Drive currents through conductances, at a low voltage for a short time."""
    conductance_us = cell.conductance_us if step.conductance_us is None else step.conductance_us
    if conductance_us is None:
        raise InputError("array.cell: missing field 'conductance_us', needed to read by current")
    charge = conductance_us * step.read_ns + step.line_ff
    ones = 2 * step.weight_density  # the mean conductance is that of half of each
    return step.cells * charge * step.read_v**2 * step.swings * ones


@READS.register("bit_line")
def _bit_line_fj(cell: Cell, step: Step) -> float:
    """Discharge precharged bit lines, which every stored word loads."""
    fall = step.supply_v / 2 if step.swing_v is None else step.swing_v
    lines = step.columns * step.rows * step.depth * step.line_ff
    falling = np.minimum(1.0, 4 * step.mean * step.weight_density)  # 1 at half of each
    energy_fj: float = lines * step.supply_v * fall * falling
    return energy_fj


@READS.register("logic")
def _logic_fj(cell: Cell, step: Step) -> float:
    """Switch one NOR per bit; the weight stands still, so only one of its two inputs moves."""
    product = step.gate_ff / 2 * step.supply_v**2 * step.mean
    return step.cells * product * step.input_bits


# Areas: 8T adds a read port, a digital cell a NOR; a capacitor cell and one with its own adder are
# dominated by the part that multiplies (the published areas of Jia 2020, Wang 2022 and Colonnade
# 2021 divided by their bits).
CELLS.register("sram_6t")(Cell(area_6t=1.0, row_transistors=2, read="bit_line"))
CELLS.register("sram_8t")(Cell(area_6t=1.4, row_transistors=1, read="bit_line"))
CELLS.register("charge")(
    # the product drives the capacitor through the cell's own gate, the size of two
    Cell(area_6t=6.0, row_transistors=2, read="capacitor", unit_capacitors=1, drive_gates=2)
)
CELLS.register("c2c")(
    # a bit of the ladder is C to its cell and 2C along it
    Cell(area_6t=8.0, row_transistors=0, read="capacitor", unit_capacitors=3)
)
CELLS.register("rram")(
    Cell(
        area_6t=0.6,
        row_transistors=2,
        read="current",
        conductance_us=cost("rram_conductance").value,
        volatile=False,
        write_pulses=cost("rram_pulses").value,
        write_pulse_pj=cost("rram_pulse").value,
        write_pulse_ns=cost("rram_pulse_time").value,
    )
)
for _name, _read_v in (("mram", 0.1), ("pcm", 0.5)):
    # one transistor below each device; written by one pulse of about a picojoule (recalled). A
    # junction is read at 0.1 V, as its two states come closer, and flip, at more (recalled).
    CELLS.register(_name)(
        Cell(
            area_6t=0.5,
            row_transistors=2,
            read="current",
            conductance_us=cost(f"{_name}_conductance").value,
            read_v=_read_v,
            volatile=False,
            write_pulses=1,
            write_pulse_pj=1.0,
            write_pulse_ns=20.0,
        )
    )
CELLS.register("digital")(
    Cell(
        area_6t=3.0,
        row_transistors=2,
        read="logic",
        analog=False,
        adder_area_6t=19.0,
        adder_row_transistors=2,
    )
)
