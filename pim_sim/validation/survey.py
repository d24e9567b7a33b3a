"""The converter laws against the rows of Murmann's ADC survey, by effective bits."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pim_sim.components.survey import Converter, read_survey, survey_fit, typical_energy_pj
from pim_sim.hardware.adc import accelergy_energy_pj

BANDS = ((0, 5), (5, 7), (7, 9), (9, 11), (11, 99))
"""Effective bits, from and below."""


@dataclass(frozen=True)
class SurveyRow:
    """Converters of a band of effective bits beside the laws.

    `typical_factor` is the geometric mean of how far, up or down, the median law misses;
    `inside` the share of converters in its 80 % interval, `above_bound` the share that spends at
    least Accelergy's lower bound.
    """

    enob: str
    converters: int
    typical_factor: float
    inside: float
    above_bound: float


def check_survey(path: Path) -> tuple[SurveyRow, ...]:
    """A row a band, then one for all; raises `InputError` where the file is no survey."""
    converters = read_survey(path)
    bands = [
        (f"{low} to {high}", [c for c in converters if low <= c.enob < high]) for low, high in BANDS
    ]
    return tuple(_row(name, rows) for name, rows in [*bands, ("all", converters)] if rows)


def summarise_survey(rows: Sequence[SurveyRow]) -> str:
    """The rows as a table; the laws were fitted to converters published to 2017."""
    lines = [
        f"ADC survey, fitted to: {survey_fit()['source'].partition(';')[0]}",
        f"{'effective bits':16}{'converters':>11}{'miss of the median':>20}"
        f"{'in the 80 % interval':>22}{'above the bound':>17}",
    ]
    for row in rows:
        lines.append(
            f"{row.enob:16}{row.converters:>11}{row.typical_factor:>20.2f}{row.inside:>22.0%}"
            f"{row.above_bound:>17.0%}"
        )
    return "\n".join(lines)


def survey_to_dict(rows: Sequence[SurveyRow]) -> list[dict[str, Any]]:
    """The rows as JSON values."""
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
