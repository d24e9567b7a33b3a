"""Converter laws against the rows of Murmann's ADC survey, by effective bits."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pim_sim.technology import (
    Converter,
    accelergy_energy_pj,
    read_survey,
    typical_energy_pj,
)

BANDS = ((0, 5), (5, 7), (7, 9), (9, 11), (11, 99))
"""Effective bits: lower bound included, upper bound excluded."""


@dataclass(frozen=True)
class SurveyRow:
    """Converters of a band of effective bits beside the laws.

    `typical_factor` is the geometric mean of the error of the median law, up or down; `inside` the
    share of converters in its 80 % interval, `above_bound` the share at or above Accelergy's lower
    bound.
    """

    enob: str
    converters: int
    typical_factor: float
    inside: float
    above_bound: float


def check_survey(path: Path) -> tuple[SurveyRow, ...]:
    """Compare one row per band, then one for all; `InputError` where the file is no survey."""
    converters = read_survey(path)
    bands = [
        (f"{low} to {high}", [c for c in converters if low <= c.enob < high]) for low, high in BANDS
    ]
    return tuple(_row(name, rows) for name, rows in [*bands, ("all", converters)] if rows)


def survey_to_dict(rows: Sequence[SurveyRow]) -> list[dict[str, Any]]:
    """Return the rows as JSON values."""
    return [asdict(row) for row in rows]


def _row(name: str, converters: Sequence[Converter]) -> SurveyRow:
    misses, inside, above = [], 0, 0
    for c in converters:
        low, typical, high = (
            typical_energy_pj(c.enob, c.rate_hz, c.node_nm, percentile=p, year=int(c.year))
            for p in (10, 50, 90)
        )
        misses.append(abs(math.log(c.energy_pj / typical)))
        inside += low <= c.energy_pj <= high
        above += c.energy_pj >= accelergy_energy_pj(c.enob, c.node_nm, c.rate_hz)
    count = len(converters)
    return SurveyRow(name, count, math.exp(statistics.fmean(misses)), inside / count, above / count)
