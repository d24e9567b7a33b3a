"""Fit of the constants of `Scales` to measured chips: least squares in the logarithm, with priors.

Energy, time and area are sums of terms, and every term is a power law in the constants; their
logarithms and slopes are read off the model once, so that a fit takes milliseconds. Each family of
chips counts once, however many rows it has; families far from all others count less (Student's t).
A constant that no chip measures stays where `Scales` declares it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from pim_sim.validation.measured_chips import Measured, Quantity

Floats = NDArray[np.float64]

MISS_LN: dict[Quantity, float] = {"energy": math.log(1.8), "time": math.log(2.2),
                                  "area": math.log(1.7)}  # fmt: skip
"""A chip is believed within these factors of a right law: layouts and designers differ."""
DOUBTFUL = 1.6
"""A row marked "?" is believed to miss by so much more, in the logarithm."""
_FREEDOM = 4.0
_NON_VOLATILE = ("current", "read_circuit", "current_time")
_ROUNDS, _STEPS, _NUDGE = 8, 12, 1e-3
_NAMES = tuple(field.name for field in fields(Scales))
_LOGARITHMIC = np.array([field.metadata["logarithmic"] for field in fields(Scales)])
_SPREAD = np.array(
    [
        math.log(field.metadata["spread"]) if field.metadata["logarithmic"]
        else field.metadata["spread"]
        for field in fields(Scales)
    ]
)  # fmt: skip
_START = np.array(list(asdict(Scales()).values()))


@dataclass(frozen=True)
class Figure:
    """One measured number, and the law of its chip as terms."""

    row: Measured
    measured_ln: float
    terms_ln: Floats
    """Logarithms of the terms with the constants as declared, [T]."""
    slopes: Floats
    """Slopes of these logarithms in the moves of the constants, [T, C]."""
    miss_ln: float

    def predicted_ln(self, moves: Floats) -> float:
        """Return the logarithm of the prediction at moves of the constants, [C]."""
        terms = self.terms_ln + self.slopes @ moves
        return float(np.logaddexp.reduce(terms))

    def slope(self, moves: Floats) -> Floats:
        """Return the slopes of the prediction's logarithm there, [C]."""
        terms = self.terms_ln + self.slopes @ moves
        share = np.exp(terms - np.logaddexp.reduce(terms))
        slope: Floats = share @ self.slopes
        return slope


Families = Mapping[str, Sequence[Figure]]


def figures(rows: Sequence[Measured], quantity: Quantity) -> dict[str, list[Figure]]:
    """Return the figures of a quantity by family; parts of an energy beside the whole."""
    found: dict[str, list[Figure]] = {}
    for row in rows:
        if (value := row.value(quantity)) is None:
            continue
        doubt = DOUBTFUL if row.use[quantity] == "?" else 1.0
        mine = found.setdefault(row.family, [])
        mine.append(_figure(row, quantity, value, MISS_LN[quantity] * doubt))
        if quantity == "energy":
            for parts, energy in row.parts:
                mine.append(_figure(row, quantity, energy, MISS_LN[quantity] * doubt, parts))
    return found


def fit(families: Families, rounds: int = _ROUNDS) -> Floats:
    """Return the moves of the constants that explain the families best, [C].

    First the constants of SRAM and digital macros, from these only; then, with those held, the
    constants of reading resistive devices, from the others.
    """
    moves = np.zeros(len(_NAMES))
    for volatile in (True, False):
        free = np.array([(name in _NON_VOLATILE) != volatile for name in _NAMES])
        chosen = {
            name: mine for name, mine in families.items() if mine[0].row.volatile == volatile
        }
        moves = _fit_some(chosen, moves, free, rounds)
    return moves


def scales_of(moves: Floats) -> Scales:
    """Return the constants at these moves."""
    values = np.where(_LOGARITHMIC, _START * np.exp(moves), _START + moves)
    return Scales(**dict(zip(_NAMES, values.tolist(), strict=True)))


def moves_of(scales: Scales) -> Floats:
    """Return the moves that give these constants."""
    values = np.array(list(asdict(scales).values()))
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(values / np.where(_LOGARITHMIC, _START, 1.0))
    moves: Floats = np.where(_LOGARITHMIC, logs, values - _START)
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


def _figure(
    row: Measured,
    quantity: Quantity,
    value: float,
    miss_ln: float,
    parts: tuple[str, ...] | None = None,
) -> Figure:
    start = terms_of(row, quantity, Scales())
    named = [name for name, term in start.items() if term > 0 and (not parts or name in parts)]
    terms = np.log([start[name] for name in named])
    slopes = np.zeros((len(named), len(_NAMES)))
    for column in range(len(_NAMES)):
        moves = np.zeros(len(_NAMES))
        moves[column] = _NUDGE
        moved = terms_of(row, quantity, scales_of(moves))
        slopes[:, column] = (np.log([moved[name] for name in named]) - terms) / _NUDGE
    return Figure(row, math.log(value), terms, slopes, miss_ln)


def _fit_some(families: Families, moves: Floats, free: NDArray[np.bool_], rounds: int) -> Floats:
    """Move the free constants by damped Gauss-Newton steps, reweighting families in between."""
    trust = dict.fromkeys(families, 1.0)
    for _ in range(rounds if families else 0):
        for _ in range(_STEPS):
            move = _step(families, trust, moves, free)
            moves = moves + move * min(1.0, 0.7 / max(np.abs(move).max(), 1e-12))
            if np.abs(move).max() < 1e-6:
                break
        for name, mine in families.items():
            miss = [(f.measured_ln - f.predicted_ln(moves)) / f.miss_ln for f in mine]
            trust[name] = (_FREEDOM + 1) / (_FREEDOM + float(np.mean(np.square(miss))))
    return moves


def _step(
    families: Families, trust: Mapping[str, float], moves: Floats, free: NDArray[np.bool_]
) -> Floats:
    """Return one Gauss-Newton step: (J'WJ + P) step = J'W r - P moves, of the free constants."""
    precision = 1 / _SPREAD**2
    matrix, target = np.diag(precision), -precision * moves
    for name, mine in families.items():
        for figure in mine:
            weight = trust[name] / (len(mine) * figure.miss_ln**2)
            slope = figure.slope(moves)
            matrix = matrix + weight * np.outer(slope, slope)
            target = target + weight * slope * (figure.measured_ln - figure.predicted_ln(moves))
    step = np.zeros(len(moves))
    step[free] = np.linalg.solve(matrix[np.ix_(free, free)], target[free])
    return step
