"""Scale factors of the macro model, one for each kind of circuit, fitted to measured chips."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

CALIBRATION_FILE = Path(__file__).with_name("calibration.json")


@dataclass(frozen=True)
class Scales:
    """Energy that measured chips spend over that of the modelled capacitances."""

    array: float = 1.0
    """Cells, bit lines and the lines that drive the rows."""
    converter: float = 1.0
    """Analog-to-digital converters."""
    dac: float = 1.0
    """Digital-to-analog converters."""
    logic: float = 1.0
    """Gates, adders and registers."""


@functools.cache
def calibrated() -> Scales:
    """Return the scales that `scripts/calibration/fit_macro_model.py` fitted to every chip."""
    content = json.loads(CALIBRATION_FILE.read_text(encoding="utf-8"))
    return Scales(**content["scales"])
