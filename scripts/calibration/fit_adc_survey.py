"""Fit the typical converter to Murmann's ADC survey and write pim_sim/technology/adc_survey.json.

    SNNQUANT_DATA=folder python scripts/calibration/fit_adc_survey.py

The folder holds adc_survey_1997_2017.csv: B. Murmann's ADC Performance Survey (BSD-3,
github.com/bmurmann/ADC-survey), the converters to 2017. `pim_sim.technology.adc_survey` has the
law.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pim_sim.technology import counted_year, read_survey, survey_features

TARGET = Path(__file__).parents[2] / "pim_sim" / "technology" / "adc_survey.json"
ORIGINS = range(2008, 2015)
"""Last years of the fits whose errors on the six years after them choose the trend."""
HORIZON = 6
SLOWDOWNS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Progress per year after the last year of a fit, over that before it."""


def conditions_and_energies(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (effective bits, rate, node, year) and ln energy of every complete row."""
    rows = np.array(read_survey(path))
    return rows[:, :4], np.log(rows[:, 4])


def features(conditions: NDArray[np.float64], last: float, slower: float) -> NDArray[np.float64]:
    """Return the terms of the law, one row per converter."""
    return np.array(
        [
            survey_features(enob, f, node, counted_year(year, last, slower))
            for enob, f, node, year in conditions
        ]
    )


def later_misses(
    conditions: NDArray[np.float64], energies: NDArray[np.float64], slower: float
) -> list[NDArray[np.float64]]:
    """Return the errors that fits to the rows up to a year leave on the years after it."""
    years, misses = conditions[:, 3], []
    for origin in ORIGINS:
        before = years <= origin
        after = ~before & (years <= origin + HORIZON)
        weights, *_ = np.linalg.lstsq(
            features(conditions[before], origin, slower), energies[before]
        )
        misses.append(energies[after] - features(conditions[after], origin, slower) @ weights)
    return misses


def fit(path: Path) -> dict[str, object]:
    """Fit coefficients on all rows, with the trend and percentiles that earlier forecasts give.

    Progress goes on after the last year, more slowly: by the share of its former pace that makes
    the medians of earlier forecasts err least.
    """
    conditions, energies = conditions_and_energies(path)
    last = float(conditions[:, 3].max())
    misses = {slower: later_misses(conditions, energies, slower) for slower in SLOWDOWNS}
    slower = min(SLOWDOWNS, key=lambda s: float(np.mean([np.median(m) ** 2 for m in misses[s]])))
    weights, *_ = np.linalg.lstsq(features(conditions, last, slower), energies)
    offsets = np.quantile(np.concatenate(misses[slower]), [0.1, 0.5, 0.9])
    return {
        "source": "B. Murmann, ADC Performance Survey 1997-2017 (BSD-3), "
        f"{len(energies)} converters; scripts/calibration/fit_adc_survey.py",
        "last_year": int(last),
        "slower": slower,
        "coefficients": [round(float(weight), 6) for weight in weights],
        "percentiles": dict(
            zip(("10", "50", "90"), (round(float(o), 4) for o in offsets), strict=True)
        ),
    }


def main() -> None:
    """Fit and write."""
    survey = Path(os.environ["SNNQUANT_DATA"]) / "adc_survey_1997_2017.csv"
    content = fit(survey)
    TARGET.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
