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

from pim_sim.technology import read_survey, survey_features

TARGET = Path(__file__).parents[2] / "pim_sim" / "technology" / "adc_survey.json"
CUTS = (2012, 2013, 2014)
"""Last years of the fits whose errors on all later converters give the percentiles."""


def conditions_and_energies(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (effective bits, rate, node, year) and ln energy of every complete row."""
    rows = np.array(read_survey(path))
    return rows[:, :4], np.log(rows[:, 4])


def features(conditions: NDArray[np.float64], last_year: float) -> NDArray[np.float64]:
    """Return the terms of the law, one row per converter."""
    return np.array(
        [survey_features(enob, f, node, min(year, last_year)) for enob, f, node, year in conditions]
    )


def fit(path: Path) -> dict[str, object]:
    """Fit coefficients on all rows, and percentiles from fits to the rows up to a year.

    Converters stopped improving at some year: the one that leaves the smallest squares.
    """
    conditions, energies = conditions_and_energies(path)
    years = conditions[:, 3]
    misses = []
    for cut in CUTS:
        before, after = years <= cut, years > cut
        weights, *_ = np.linalg.lstsq(features(conditions[before], cut), energies[before])
        misses.append(energies[after] - features(conditions[after], cut) @ weights)
    trials = [
        (*np.linalg.lstsq(features(conditions, last), energies)[:2], last)
        for last in range(2010, int(years.max()) + 1)
    ]
    weights, _, last_year = min(trials, key=lambda trial: float(trial[1][0]))
    offsets = np.quantile(np.concatenate(misses), [0.1, 0.5, 0.9])
    return {
        "source": "B. Murmann, ADC Performance Survey 1997-2017 (BSD-3), "
        f"{len(energies)} converters; scripts/calibration/fit_adc_survey.py",
        "last_year": last_year,
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
