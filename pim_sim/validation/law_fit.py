"""Fit of the constants of `Scales` to measured chips: least squares in the logarithm, with priors.

Energy, time and area are sums of terms, and every term is a power law in the constants; their
logarithms and slopes are read off the model once, so that a fit takes milliseconds. Each family of
chips counts once, however many rows it has; families far from all others count less (Student's t).
A constant that no chip measures stays where `Scales` declares it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from pim_sim.cost_model import (
    Scales,
    areas_um2,
    configured_for,
    energies_per_mac,
    lay_out,
    stage_times_ns,
)
from pim_sim.validation.measured_chips import QUANTITIES, Measured, Quantity

Floats = NDArray[np.float64]

MISS_LN: dict[Quantity, float] = {"energy": math.log(1.8), "time": math.log(2.2),
                                  "area": math.log(1.7)}  # fmt: skip
"""A chip is believed within these factors of a right law: layouts and designers differ."""
OWN_MISS_LN = math.log(1.1)
"""A chip is believed within this factor of the laws with its own constants."""
DOUBTFUL = 1.6
"""A row marked "?" is believed to miss by so much more, in the logarithm."""
_FREEDOM = 4.0
_NON_VOLATILE = ("current", "read_circuit", "current_time", "current_area")
_ROUNDS, _STEPS, _NUDGE = 5, 12, 1e-3
_LARGEST, _SMALLEST = 0.7, 1e-4
_NAMES = tuple(field.name for field in fields(Scales))
_LOGARITHMIC = np.array([field.metadata["logarithmic"] for field in fields(Scales)])
_SPREAD = np.array(
    [
        math.log(field.metadata["spread"]) if field.metadata["logarithmic"]
        else field.metadata["spread"]
        for field in fields(Scales)
    ]
)  # fmt: skip
_OF = np.array([field.metadata["of"] for field in fields(Scales)])
_START = np.array(list(asdict(Scales()).values()))


@dataclass(frozen=True)
class Figures:
    """Measured numbers of one quantity, and the laws of their chips as terms.

    N figures of at most T terms in C constants; a term that a chip lacks is minus infinity.
    """

    quantity: Quantity
    rows: tuple[Measured, ...]
    whole: NDArray[np.bool_]
    """True for a figure of the whole macro, false for one of its parts, [N]."""
    family: NDArray[np.intp]
    """Place of each figure's family in `families`, [N]."""
    families: tuple[str, ...]
    volatile: NDArray[np.bool_]
    """True for a figure of an SRAM or digital macro, [N]."""
    measured_ln: Floats
    miss_ln: Floats
    terms_ln: Floats
    """Logarithms of the terms with the constants as declared, [N, T]."""
    slopes: Floats
    """Slopes of these logarithms in the moves of the constants, [N, T, C]."""

    def predicted_ln(self, moves: Floats) -> Floats:
        """Return the logarithms of the predictions at moves [C] of the constants, [N]."""
        found: Floats = np.logaddexp.reduce(self.terms_ln + self.slopes @ moves, axis=1)
        return found


def figures(rows: Sequence[Measured], quantity: Quantity) -> Figures:
    """Return the figures of a quantity; printed parts of an energy beside the whole."""
    found = []
    for row in rows:
        if (value := row.value(quantity)) is not None:
            found.append((row, value, _terms(row, quantity, None), True))
        if quantity == "energy":
            found += [(row, fj, _terms(row, quantity, named), False) for named, fj in row.parts]
    most = max(len(terms) for _, _, (terms, _), _ in found)
    terms_ln = np.full((len(found), most), -np.inf)
    slopes = np.zeros((len(found), most, len(_NAMES)))
    for i, (_, _, (terms, slope), _) in enumerate(found):
        terms_ln[i, : len(terms)], slopes[i, : len(terms)] = terms, slope
    families = tuple(dict.fromkeys(row.family for row, *_ in found))
    doubt = [DOUBTFUL if row.use[quantity] == "?" else 1.0 for row, *_ in found]
    return Figures(
        quantity=quantity,
        rows=tuple(row for row, *_ in found),
        whole=np.array([whole for *_, whole in found]),
        family=np.array([families.index(row.family) for row, *_ in found]),
        families=families,
        volatile=np.array([row.volatile for row, *_ in found]),
        measured_ln=np.log([value for _, value, *_ in found]),
        miss_ln=MISS_LN[quantity] * np.array(doubt),
        terms_ln=terms_ln,
        slopes=slopes,
    )


def fit(found: Figures, left_out: Collection[int] = (), start: Floats | None = None) -> Floats:
    """Return the moves of the constants that explain the figures best, [C].

    First the constants of SRAM and digital macros, from these only; then, with those held, the
    constants of reading resistive devices, from the others. ``left_out`` are places of families
    that the fit does not see, ``start`` the moves that are believed before it (none).
    """
    prior = np.zeros(len(_NAMES)) if start is None else start
    moves = fit_group(found, True, prior, prior, left_out)
    return fit_group(found, False, moves, prior, left_out)


def fit_group(
    found: Figures, volatile: bool, moves: Floats, prior: Floats, left_out: Collection[int]
) -> Floats:
    """Return ``moves``, where the search starts, with the constants of one group fitted, [C].

    Damped Gauss-Newton steps; in between families that lie far off lose weight.
    """
    seen = ~np.isin(found.family, list(left_out)) & (found.volatile == volatile)
    group = np.array([(name in _NON_VOLATILE) != volatile for name in _NAMES])
    free = group & (found.quantity == _OF)
    if not (seen.any() and free.any()):
        return moves
    return _Group.of(found, seen, free, moves).fitted(moves, prior, free)


def fit_scales(
    rows: Sequence[Measured], start: Scales | None = None, miss_ln: float | None = None
) -> Scales:
    """Return the constants that explain energy, time and area of the rows best.

    ``start`` are those believed before the fit (as declared), ``miss_ln`` the miss that is believed
    of a right law (`MISS_LN`).
    """
    prior = np.zeros(len(_NAMES)) if start is None else moves_of(start)
    moves = prior
    for quantity in QUANTITIES:
        energy_of_parts = quantity == "energy" and any(row.parts for row in rows)
        if energy_of_parts or any(row.value(quantity) is not None for row in rows):
            found = figures(rows, quantity)
            if miss_ln is not None:
                found = replace(found, miss_ln=np.full(len(found.rows), miss_ln))
            moves = np.where(quantity == _OF, fit(found, start=prior), moves)
    return scales_of(moves)


def scales_of(moves: Floats) -> Scales:
    """Return the constants at these moves."""
    values = np.where(_LOGARITHMIC, _START * np.exp(moves), _START + moves)
    return Scales(**dict(zip(_NAMES, values.tolist(), strict=True)))


def moves_of(scales: Scales) -> Floats:
    """Return the moves that give these constants."""
    values = np.array(list(asdict(scales).values()))
    ratio = np.where(_LOGARITHMIC, values / _START, 1.0)
    moves: Floats = np.where(_LOGARITHMIC, np.log(ratio), values - _START)
    return moves


def terms_of(row: Measured, quantity: Quantity, scales: Scales) -> dict[str, float]:
    """Return the terms of a law for a row, which add up to its prediction.

    Energy in fJ per multiply-accumulate with the chip's own step time, which sets the rate of its
    converters; time in ns per product; area in mm2 of all arrays.
    """
    macro = configured_for(row.macro, row.input_bits, row.weight_bits)
    if quantity == "energy":
        parts = energies_per_mac(macro, row.input_bits, row.weight_bits, scales)
        control = parts.pop("control") / sum(parts.values())
        return {name: energy * (1 + control) for name, energy in parts.items()}
    if quantity == "area":
        areas = areas_um2(macro, scales)
        return {name: area * macro.copies * 1e-6 for name, area in areas.items()}
    layout = lay_out(macro, row.input_bits, row.weight_bits)
    stages = stage_times_ns(replace(macro, cycle_ns=None), scales)
    if "conversions" in stages:
        stages["conversions"] *= layout.steps_converted
    return {name: time * layout.steps for name, time in stages.items()}


def _terms(
    row: Measured, quantity: Quantity, parts: tuple[str, ...] | None
) -> tuple[Floats, Floats]:
    """Return logarithms of terms [T] and their slopes [T, C]."""
    start = terms_of(row, quantity, Scales())
    named = [name for name, term in start.items() if term > 0 and (not parts or name in parts)]
    terms = np.log([start[name] for name in named])
    slopes = np.zeros((len(named), len(_NAMES)))
    for column in range(len(_NAMES)):
        moves = np.zeros(len(_NAMES))
        moves[column] = _NUDGE
        moved = terms_of(row, quantity, scales_of(moves))
        slopes[:, column] = (np.log([moved[name] for name in named]) - terms) / _NUDGE
    return terms, slopes


@dataclass(frozen=True)
class _Group:
    """Figures that a fit sees, in the constants that it moves."""

    held: Floats
    """Logarithms of the terms with all moves except the free ones, [N, T]."""
    slopes: Floats
    measured: Floats
    miss: Floats
    family: NDArray[np.intp]

    @classmethod
    def of(
        cls, found: Figures, seen: NDArray[np.bool_], free: NDArray[np.bool_], moves: Floats
    ) -> _Group:
        slopes = found.slopes[seen]
        return cls(
            held=found.terms_ln[seen] + slopes[:, :, ~free] @ moves[~free],
            slopes=slopes[:, :, free],
            measured=found.measured_ln[seen],
            miss=found.miss_ln[seen],
            family=found.family[seen],
        )

    def fitted(self, moves: Floats, prior: Floats, free: NDArray[np.bool_]) -> Floats:
        moves, count = moves.copy(), np.bincount(self.family)
        weight = 1 / (count[self.family] * self.miss**2)
        trust = np.ones(len(count))
        for _ in range(_ROUNDS):
            for _ in range(_STEPS):
                away = (moves - prior)[free]
                step = self._step(moves[free], away, _SPREAD[free], weight * trust[self.family])
                largest = float(np.abs(step).max())
                moves[free] += step * min(1.0, _LARGEST / max(largest, _SMALLEST))
                if largest < _SMALLEST:
                    break
            squares = ((self.measured - self._predicted(moves[free])[0]) / self.miss) ** 2
            mean = np.bincount(self.family, squares, len(count)) / np.maximum(count, 1)
            trust = (_FREEDOM + 1) / (_FREEDOM + mean)
        return moves

    def _predicted(self, free: Floats) -> tuple[Floats, Floats]:
        """Return the logarithms of the predictions [N], and of their terms [N, T]."""
        terms = self.held + self.slopes @ free
        return np.logaddexp.reduce(terms, axis=1), terms

    def _step(self, free: Floats, away: Floats, spread: Floats, weight: Floats) -> Floats:
        """Return one Gauss-Newton step: (J'WJ + P) step = J'W r - P away."""
        predicted, terms = self._predicted(free)
        slope = np.einsum("nt,ntc->nc", np.exp(terms - predicted[:, None]), self.slopes)
        weighted = slope * weight[:, None]
        matrix = weighted.T @ slope + np.diag(1 / spread**2)
        target = weighted.T @ (self.measured - predicted) - away / spread**2
        step: Floats = np.linalg.solve(matrix, target)
        return step
