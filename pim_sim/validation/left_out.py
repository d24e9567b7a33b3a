"""Families of measured chips left out of the fit one by one, and intervals that hold for them.

The interval of a left-out family is as wide as the misses of the other families say, each of them
predicted by a fit that has seen neither: no number of a chip takes part in its own interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from pim_sim.cost_model.costs import LEVEL
from pim_sim.validation.law_fit import Figures, Floats, figures, fit, fit_group
from pim_sim.validation.measured_chips import QUANTITIES, Measured, Quantity

_LIKE_OTHERS = 4.0
"""Families of other kinds that the miss of a kind counts for beside its own."""


@dataclass(frozen=True, kw_only=True)
class Missed:
    """One quantity of a left-out family."""

    family: str
    kind: str
    """Way of reading: capacitor, bit_line, logic or current."""
    volatile: bool
    doubtful: bool
    """True if its sources leave a doubt in every row; then it is not counted."""
    factor: float
    """Geometric mean of the larger over the smaller of measured and predicted, over its rows."""
    predicted_over_measured: float
    """Geometric mean, with its direction."""
    spread: float
    """Factor of its 80 % interval, up or down."""
    inside: float
    """Share of its rows inside."""
    figures: tuple[tuple[str, float, float], ...]
    """Name, measured and predicted value of each of these rows."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """All families of one quantity, each left out."""

    quantity: Quantity
    missed: tuple[Missed, ...]
    spreads: dict[str, float]
    """Factor that 80 of 100 new chips lie within, by kind, from the misses of all families."""

    def geomean(self, volatile: bool = True, doubtful: bool = False) -> float:
        """Return the geometric mean factor, with doubtful families or without them."""
        return math.exp(float(np.mean([math.log(m.factor) for m in self._of(volatile, doubtful)])))

    def coverage(self, volatile: bool = True, doubtful: bool = False) -> float:
        """Return the share of families inside their intervals."""
        return float(np.mean([missed.inside for missed in self._of(volatile, doubtful)]))

    def count(self, volatile: bool = True) -> int:
        """Return the number of families that count."""
        return len(self._of(volatile, False))

    def _of(self, volatile: bool, doubtful: bool) -> list[Missed]:
        chosen = [missed for missed in self.missed if missed.volatile == volatile]
        return [missed for missed in chosen if doubtful or not missed.doubtful]


def leave_out(rows: Sequence[Measured], quantity: Quantity) -> LeftOut:
    """Predict every family of a quantity by a fit without it, with its interval."""
    found = figures(rows, quantity)
    without = _fits(found)
    used = [_used(found, quantity, place) for place in range(len(found.families))]
    kinds = [found.rows[rows[0]].macro.array.kind.read for rows in used]
    volatile = [bool(found.volatile[rows[0]]) for rows in used]
    missed = []
    for place, mine in enumerate(used):
        others = [p for p in range(len(used)) if p != place and volatile[p] == volatile[place]]
        misses = {p: _misses(found, used[p], without[place, p]) for p in others}
        spread = _spread(
            [(kinds[p], misses[p]) for p in others if not _doubtful(found, quantity, used[p])],
            kinds[place],
        )
        own = _misses(found, mine, without[place, place])
        missed.append(
            Missed(
                family=found.families[place],
                kind=kinds[place],
                volatile=volatile[place],
                doubtful=_doubtful(found, quantity, mine),
                factor=math.exp(float(np.mean(np.abs(own)))),
                predicted_over_measured=math.exp(float(np.mean(own))),
                spread=spread,
                inside=float(np.mean(np.abs(own) <= math.log(spread))),
                figures=_plain_figures(found, mine, own),
            )
        )
    return LeftOut(quantity=quantity, missed=tuple(missed), spreads=_all_spreads(missed))


def _fits(found: Figures) -> dict[tuple[int, int], Floats]:
    """Return moves of the constants without each family (i, i), and without each pair (i, j).

    Families of the other group take no part in the constants of a group, so pairs are of one group.
    """
    start = np.zeros(found.slopes.shape[2])
    everything, fits = fit(found), {}
    for volatile in (True, False):
        places = np.unique(found.family[found.volatile == volatile]).tolist()
        for i, j in [*((p, p) for p in places), *combinations(places, 2)]:
            moves = fit_group(found, volatile, everything, start, (i, j))
            fits[i, j] = fits[j, i] = moves
    return fits


def _used(found: Figures, quantity: Quantity, place: int) -> list[int]:
    """Return the whole-macro figures of a family; those without a doubt where it has some."""
    whole = np.flatnonzero((found.family == place) & found.whole).tolist()
    return [i for i in whole if found.rows[i].use[quantity] == "y"] or whole


def _doubtful(found: Figures, quantity: Quantity, used: Sequence[int]) -> bool:
    return found.rows[used[0]].use[quantity] != "y"


def _misses(found: Figures, used: Sequence[int], moves: Floats) -> Floats:
    """Return ln(predicted / measured) of some figures."""
    misses: Floats = (found.predicted_ln(moves) - found.measured_ln)[used]
    return misses


def _plain_figures(
    found: Figures, used: Sequence[int], misses: Floats
) -> tuple[tuple[str, float, float], ...]:
    measured = np.exp(found.measured_ln[used])
    predicted = measured * np.exp(misses)
    names = [found.rows[i].name for i in used]
    return tuple(zip(names, measured.tolist(), predicted.tolist(), strict=True))


def _spread(others: Sequence[tuple[str, Floats]], kind: str) -> float:
    """Return the factor that holds for a family of this kind, from the misses of other families.

    A kind that missed more gets a wider interval: its mean miss, held towards that of all by
    `_LIKE_OTHERS` families, times the quantile of how far families go beyond the mean of theirs.
    """
    sizes = [(name, float(np.mean(np.abs(misses)))) for name, misses in others]
    mean = float(np.mean([size for _, size in sizes]))

    def usual(name: str) -> float:
        mine = [size for other, size in sizes if other == name]
        return (_LIKE_OTHERS * mean + sum(mine)) / (_LIKE_OTHERS + len(mine))

    beyond = sorted(size / usual(name) for name, size in sizes)
    # of n misses and a new one, the new one is as likely in each of the n + 1 places between them
    place = min(LEVEL * (len(beyond) + 1), len(beyond)) - 1
    quantile = float(np.interp(place, range(len(beyond)), beyond))
    return math.exp(quantile * usual(kind))


def _all_spreads(missed: Sequence[Missed]) -> dict[str, float]:
    spreads: dict[str, float] = {}
    for volatile in (True, False):
        group = [m for m in missed if m.volatile == volatile]
        others = [(m.kind, np.array([math.log(m.factor)])) for m in group if not m.doubtful]
        for kind in dict.fromkeys(m.kind for m in group):
            spreads[kind] = _spread(others, kind)
    return spreads


def rows_by_family(results: Iterable[LeftOut]) -> list[dict[str, Any]]:
    """Return a row per family, ready for JSON: factors by quantity, and the rest of `Missed`."""
    table: dict[str, dict[str, Any]] = {}
    for result in results:
        for missed in result.missed:
            row = table.setdefault(
                missed.family,
                {
                    "family": missed.family,
                    "kind": missed.kind,
                    "group": "sram_digital" if missed.volatile else "non_volatile",
                    **dict.fromkeys(QUANTITIES),
                    "details": {},
                },
            )
            row[result.quantity] = missed.factor
            details = asdict(missed)
            for name in ("family", "kind", "volatile", "factor"):
                del details[name]
            row["details"][result.quantity] = details
    return list(table.values())
