"""Constants of the macro model, one set for energy, time and area, fitted to measured chips.

Every constant is declared with the range that it was believed to lie in before any chip was seen;
the fit of `pim_sim.validation` starts there. A factor of 1 is the modelled capacitance, delay or
area itself.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pim_sim.errors import InputError
from pim_sim.schema import build_part, check_number, check_table, shown

CALIBRATION_FILE = Path(__file__).with_name("calibration.json")
_MAX = 1e3


def factor(spread: float, value: float = 1.0, of: str = "energy") -> Any:
    """Declare a positive constant: its logarithm is believed within ln ``spread`` (68 of 100)."""
    return field(default=value, metadata={"spread": spread, "logarithmic": True, "of": of})


def exponent(value: float, spread: float, of: str = "energy") -> Any:
    """Declare an exponent, believed within plus or minus ``spread``."""
    return field(default=value, metadata={"spread": spread, "logarithmic": False, "of": of})


@dataclass(frozen=True)
class Scales:
    """Constants of the laws; the defaults are those before any chip was seen.

    >>> Scales().converter, Scales(converter=2.0).array
    (1.0, 1.0)
    """

    array: float = factor(2.0)
    """Energy of cells that charge capacitors, over that of the capacitances."""
    bit_line: float = factor(2.0)
    """Energy of bit lines, over that of the capacitances."""
    current: float = factor(3.0)
    """Energy of cells read by current, over conductance times voltage squared times pulse."""
    drivers: float = factor(2.0)
    """Energy of the lines that drive the rows, over that of the capacitances."""
    dac: float = factor(2.0)
    """Energy of a DAC per bit, over one swing of the line it drives."""
    converter: float = factor(2.0)
    """Energy of a conversion of 5 bits and 128 rows, over `Node.conversion_fj`."""
    converter_bits: float = exponent(1.0, 0.2)
    """Doublings of that energy per bit; 1 in the ADC survey and in Walden's figure of merit."""
    converter_rows: float = exponent(0.25, 0.2)
    """Power of the rows that a converter reads: a longer line is a larger load."""
    flash: float = factor(1.5)
    """Energy of a flash converter over that of one by successive approximation."""
    read_circuit: float = factor(3.0)
    """Energy of a conversion of a current over that of a charge: its amplifier or clamp."""
    logic: float = factor(2.0)
    """Energy of gates, adders and registers, over that of their capacitances."""
    settle: float = factor(2.0, 2.0, of="time")
    """Settling of 128 rows, in ns at 28 nm and 0.9 V."""
    settle_rows: float = exponent(0.5, 0.25, of="time")
    """Power of the rows that settle."""
    pulse: float = factor(2.0, 20.0, of="time")
    """Length of the shortest pulse of an input, in gate delays."""
    decision: float = factor(2.0, 0.5, of="time")
    """A decision of a converter, in ns at 28 nm and 0.9 V."""
    current_time: float = factor(3.0, of="time")
    """Time of a step read by current, over that of a charge."""
    logic_time: float = factor(2.0, 1.5, of="time")
    """Step of a digital array over the delay of its gates: clock margins and wires."""
    cell_area: float = factor(1.6, of="area")
    """Area of cells over that of their kinds."""
    bit_line_area: float = factor(2.0, of="area")
    """The same of cells on computing bit lines, beside `cell_area`."""
    current_area: float = factor(3.0, of="area")
    """Area of a macro read by current over that of its parts: circuits to form and write cells."""
    converter_area: float = factor(2.0, of="area")
    """Area of a converter of 5 bits, over 150 um2 at 28 nm."""
    converter_area_bits: float = exponent(0.75, 0.2, of="area")
    """Doublings of that area per bit."""
    driver_area: float = factor(2.0, of="area")
    """Area at the end of a row, over 10 cells per bit of its input."""
    logic_area: float = factor(1.6, of="area")
    """Area of gates over that of their standard cells."""
    whole_area: float = factor(1.35, 1.4, of="area")
    """A macro's area over the sum of its parts: control, wiring, test."""


@functools.cache
def calibrated() -> Scales:
    """Return the constants that `scripts/calibration/fit_macro_model.py` fitted to every chip."""
    content = json.loads(CALIBRATION_FILE.read_text(encoding="utf-8"))
    return Scales(**content["scales"])


@functools.cache
def spreads() -> dict[str, dict[str, float]]:
    """Return the factors that left-out chips lie within in 80 of 100 cases.

    By quantity (``energy``, ``time``, ``area``) and by kind of engine.
    """
    content = json.loads(CALIBRATION_FILE.read_text(encoding="utf-8"))
    found: dict[str, dict[str, float]] = content["spreads"]
    return found


def load_scales(path: str | Path) -> Scales:
    """Read constants as `pim-sim fit --out` writes them; `InputError` names file and field."""
    try:
        content = check_table(json.loads(Path(path).read_text(encoding="utf-8")), "the file")
        found = build_part(Scales, "scales", content.get("scales"))
        for name, value in vars(found).items():
            check_number(f"scales.{name}", value, -_MAX, _MAX)
        return found
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {shown(str(error))}") from None
