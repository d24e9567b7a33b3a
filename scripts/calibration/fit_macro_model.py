"""Fit the macro model's scale factors to the measured chips; write its calibration.json.

    python scripts/calibration/fit_macro_model.py

`pim-sim validate` prints the errors of the fit, on the chips and on each chip left out of it.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from pim_sim.cost_model import CALIBRATION_FILE
from pim_sim.validation import fit_scales, measured_chips


def main() -> None:
    """Fit to every chip and write."""
    chips = [chip for chip in measured_chips() if chip.used_for("fit")]
    scales = {name: round(value, 6) for name, value in asdict(fit_scales(chips)).items()}
    content = {
        "source": "scripts/calibration/fit_macro_model.py, fitted to "
        + ", ".join(chip.name for chip in chips),
        "scales": scales,
    }
    CALIBRATION_FILE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
