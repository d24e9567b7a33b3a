"""The scale factors that ship: fitted to the measured chips, all of them."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from pim_sim.macro.energy import Scales

CALIBRATION_FILE = Path(__file__).with_name("calibration.json")


@functools.cache
def calibrated() -> Scales:
    """Scales fitted to every calibration chip by `scripts/fit_macro_model.py`."""
    content = json.loads(CALIBRATION_FILE.read_text(encoding="utf-8"))
    return Scales(**content["scales"])
