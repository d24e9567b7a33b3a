"""Fields of a macro that mean nothing for its kind of array."""

from __future__ import annotations

from pim_sim.hardware.cells import Cell

_OF_READ = ("capacitor", "bit_line", "current", "logic")
_FIELDS_OF_READ = {
    "array.bits_per_cell": ("current", "only a cell read by current keeps several levels"),
    "array.conductance_us": ("current", "the cell is not read by current"),
    "array.read_v": ("current", "the cell is not read by current"),
    "array.read_ns": ("current", "the cell is not read by current"),
    "array.swing_v": ("bit_line", "the cell is not read on a bit line"),
    "array.unit_ff": ("capacitor", "the cell has no capacitor"),
}
_OF_DIGITAL = ("logic.adder", "logic.rows_per_register", "logic.booth")
_OF_ANALOG = ("array.line_ff", "input.steps_per_conversion", "input.sign_magnitude")


def without_effect(kind: Cell) -> dict[str, str]:
    """Return the fields without effect in an array of these cells, each with the reason.

    A plugin's law of reading may use any field of the array.
    """
    found = {}
    if kind.read in _OF_READ:
        for name, (read, reason) in _FIELDS_OF_READ.items():
            if kind.read != read:
                found[name] = reason
    if kind.analog:
        return found | dict.fromkeys(_OF_DIGITAL, "the array is analog")
    return found | dict.fromkeys(_OF_ANALOG, "the array is digital")
