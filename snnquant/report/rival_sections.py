"""Tables of the trained SNN against its twin: ratios of energies, published thresholds."""

from __future__ import annotations

from snnquant.report.rival_metrics import BEST, SCHEDULES, Rival, definition
from snnquant.report.table_parts import ALONE, BLANK, IN_MAP, Section, percent


def over_twin(rival: Rival) -> Section:
    """Return the SNN's energies over those of its twin, by schedule."""
    rows = []
    for schedule, alone in rival.ratio.items():
        in_map = (rival.map_ratio or {}).get(schedule)
        factors = [alone.same, alone.twin_best]
        factors += [in_map.same, in_map.twin_best] if in_map else []
        rows.append((SCHEDULES[schedule], *map(_times, factors)))
    compute = [_times(rival.compute_ratio), BLANK]
    if rival.map_compute_ratio is not None:
        compute += [_times(rival.map_compute_ratio), BLANK]
    rows.append(("compute only", *compute))
    places = (ALONE, IN_MAP) if rival.map_ratio else (ALONE,)
    columns = tuple(f"{place}{strict}" for place in places for strict in ("", ", strict"))
    note = (
        "strict: over the twin under the schedule that suits it best. Below 1 the SNN takes less."
    )
    return Section("Energy of the SNN over that of its twin", columns, tuple(rows), (note,))


def verdicts(rival: Rival, time_steps: int) -> Section:
    """Return the published thresholds, and what the SNN takes in one sentence."""
    rows = tuple(
        (
            f"{row.source.partition(',')[0]}: {row.condition}",
            *(f"{row.value:.3g}", f"{row.limit:.3g}", "yes" if row.passed else "no"),
        )
        for row in rival.thresholds
    )
    first, *others = (
        (_times(ratio.same), SCHEDULES[key].partition(",")[0])
        for key, ratio in rival.ratio.items()
        if key != BEST
    )
    more = "".join(f", {factor} under {letter}" for factor, letter in others)
    notes = (
        f"The SNN takes {first[0]} the energy of its twin under {first[1]}{more}, for a pixel on "
        f"its own ({rival.chip}, memory included), at OA {percent(rival.snn_oa)} % beside "
        f"{percent(rival.twin_oa)} %.",
        *(["At T = 1 a spike is an activation of one bit, as the twin has."] * (time_steps == 1)),
        "Of the layers after the first: "
        + "; ".join(dict.fromkeys(definition(row.figure) for row in rival.thresholds))
        + ".",
        "; ".join(dict.fromkeys(row.source for row in rival.thresholds)) + ".",
    )
    columns = ("this SNN", "at most", "met")
    return Section("Verdicts: published thresholds", columns, rows, notes)


def _times(factor: float) -> str:
    return f"{factor:.2f}x"
