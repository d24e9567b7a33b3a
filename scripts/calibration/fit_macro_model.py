"""Fit the macro model's constants to the measured chips; write its calibration.json.

    python scripts/calibration/fit_macro_model.py

The spreads are those of chips left out of the fit, family by family; `pim-sim validate` prints
them with every chip's error.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from pim_sim.cost_model import CALIBRATION_FILE
from pim_sim.validation import QUANTITIES, fit_scales, leave_out, measured_chips


def main() -> None:
    """Fit to every chip and write."""
    rows = measured_chips()
    scales = {name: round(value, 6) for name, value in asdict(fit_scales(rows)).items()}
    spreads = {
        quantity: {
            kind: round(spread, 4) for kind, spread in leave_out(rows, quantity).spreads.items()
        }
        for quantity in QUANTITIES
    }
    families = len({row.family for row in rows})
    content = {
        "source": f"scripts/calibration/fit_macro_model.py, fitted to {families} families of "
        "measured chips, pim_sim/validation/macros.csv",
        "scales": scales,
        "spreads": spreads,
    }
    CALIBRATION_FILE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
