"""Energy of a typical published converter: a fit to Murmann's ADC survey, with percentiles.

`scripts/calibration/fit_adc_survey.py` writes `adc_survey.json` from the survey's rows of 1997 to
2017:

    ln E = c . (1, N, N^2, ln f, max(0, ln f - ln 100 MHz), ln node, year - 2010),

with E in pJ, N the effective bits, f the Nyquist rate in Hz and the node in nm. After the last year
of the fit progress goes on at a share of its pace, the one by which forecasts from earlier years
would have met the medians of the six years after them best. The percentiles are of the errors of
those forecasts: an in-sample spread would be too narrow for future converters.
"""

from __future__ import annotations

import csv
import functools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pim_sim.errors import InputError
from pim_sim.schema import refuse

_FILE = Path(__file__).with_name("adc_survey.json")
_KNEE = math.log(1e8)
_NO_BITS_DB = 1.76
"""Signal over noise and distortion of a converter of no effective bits."""


class Converter(NamedTuple):
    """A row of the survey: effective bits, Nyquist rate in Hz, node in nm, year, energy in pJ."""

    enob: float
    rate_hz: float
    node_nm: float
    year: float
    energy_pj: float


def read_survey(path: Path) -> list[Converter]:
    """Read the rows of the survey's CSV that have bits, rate, node and energy.

    Its columns: sndr_plot_db, fs_nyquist_hz, technology_um, energy_per_conversion_pj and year. A
    converter of less than 1.76 dB resolves nothing, so that its effective bits are not above 0: no
    law prices it, and its row is left out.
    Raises `InputError` where the file cannot be read, lacks a column or holds no such row.
    """
    names = ("sndr_plot_db", "fs_nyquist_hz", "technology_um", "energy_per_conversion_pj", "year")
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if all(row[name] for name in names):
                    sndr, rate, node_um, energy, year = (float(row[name]) for name in names)
                    enob = (sndr - _NO_BITS_DB) / 6.02
                    if enob > 0:
                        rows.append(Converter(enob, rate, node_um * 1e3, year, energy))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except KeyError as error:
        raise InputError(
            f"{path}: found no column {error}, expected the ADC survey's CSV"
        ) from None
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: not the ADC survey's CSV ({error})") from None
    if not rows:
        raise InputError(f"{path}: found no converter, expected rows with {', '.join(names)}")
    return rows


@functools.cache
def survey_fit() -> dict[str, Any]:
    """Return coefficients, last year and percentiles, as the script wrote them."""
    content: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return content


def survey_features(
    enob: float, rate_hz: float, node_nm: float, year: float
) -> tuple[float, float, float, float, float, float, float]:
    """Return the terms of the law, in the order of its coefficients."""
    rate = np.log(rate_hz)
    over = np.maximum(0.0, rate - _KNEE)
    return (1.0, enob, enob**2, rate, over, math.log(node_nm), year - 2010)


def counted_year(year: float, last: float, slower: float) -> float:
    """Return the year that counts for progress: after the last of a fit time passes more slowly."""
    return min(year, last) + slower * max(0.0, year - last)


def typical_energy_pj(
    enob: float, rate_hz: float, node_nm: float, *, percentile: int = 50, year: int = 2017
) -> float:
    """Return the energy of one conversion in pJ, of the median converter or another percentile.

    The percentiles are 10, 50 and 90: 80 % of the converters published after the fit lie between
    the outer two. Raises `InputError` for another percentile.
    """
    fit = survey_fit()
    offsets = fit["percentiles"]
    if str(percentile) not in offsets:
        raise refuse("percentile", percentile, f"one of {', '.join(offsets)}")
    counted = counted_year(year, fit["last_year"], fit["slower"])
    terms = survey_features(enob, rate_hz, node_nm, counted)
    energy_pj: float = np.exp(_dot(fit["coefficients"], terms) + offsets[str(percentile)])
    return energy_pj


def rate_factor(rate_hz: float) -> float:
    """Return the energy of a conversion at a rate over that at 100 MS/s, as in the survey."""
    slow, fast = survey_fit()["coefficients"][3:5]
    distance = np.log(rate_hz) - _KNEE
    factor: float = np.exp(slow * distance + fast * np.maximum(0.0, distance))
    return factor


def _dot(weights: Sequence[float], terms: Sequence[float]) -> float:
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))
