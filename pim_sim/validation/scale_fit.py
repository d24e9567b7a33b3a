"""Fit of the four scale factors, to every chip or to all except one.

The fit is by least squares in the logarithm. Each chip counts once, however many figures it
printed, and a prior keeps a scale that no chip of the fit measures near 1: ln(scale) is taken to be
normal with standard deviation `PRIOR_LN`, ln(measured / predicted) of a chip with `MISS_LN`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from pim_sim.cost_model import Scales
from pim_sim.validation.first_layer import check_layer
from pim_sim.validation.measured_chips import Chip, Figure, measured_chips
from pim_sim.validation.references import Reference, references

PRIOR_LN = math.log(2)
"""A scale within a factor of 2 of 1 before any chip is seen: capacitances are known that well."""
MISS_LN = math.log(1.5)
"""A chip within a factor of 1.5 of a right model: layouts differ that much."""
_OWN_MISS_LN = math.log(1.05)
"""A chip's own figures against a model fitted to it only."""

_STEPS, _NUDGE = 60, 1e-4
_NAMES = tuple(field.name for field in fields(Scales))


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One figure, measured and predicted."""

    chip: str
    condition: str
    parts: tuple[str, ...]
    measured_fj: float
    predicted_fj: float

    @property
    def factor_error(self) -> float:
        """The larger over the smaller of the two; 1 is right."""
        ratio = self.predicted_fj / self.measured_fj
        return max(ratio, 1 / ratio)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Agreement of the model with measured chips."""

    scales: Scales
    """Scales fitted to every chip; those of the package."""
    calibrated: dict[str, float]
    """Factor error of each chip's whole-macro figures with scales fitted to that chip only."""
    left_out: dict[str, float]
    """The same with scales fitted to the other chips."""
    left_out_scales: dict[str, Scales]
    """Those scales, by the chip that was left out."""
    predictions: tuple[Prediction, ...]
    """Every fitted figure of a chip as predicted from the other chips."""
    own_predictions: tuple[Prediction, ...]
    """The same figures with scales fitted to that chip only."""
    checks: tuple[Prediction, ...]
    """Figures never fitted to, predicted with the scales of their own chip, or of all chips where
    theirs has no figure to fit to."""
    layer: dict[str, Any]
    """The first layer on Indian Pines on Wang's macro (`pim_sim.validation.first_layer`)."""
    references: tuple[Reference, ...]
    """Single laws and rows of the component table against other sources."""

    @property
    def left_out_geomean(self) -> float:
        """Geometric mean of `left_out`."""
        return geomean(self.left_out.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, ready for JSON."""
        return {
            "calibrated": self.calibrated,
            "left_out": self.left_out,
            "left_out_geomean": self.left_out_geomean,
            "scales": asdict(self.scales),
            "left_out_scales": {name: asdict(s) for name, s in self.left_out_scales.items()},
            "calibrated_figures": _plain(self.own_predictions),
            "left_out_figures": _plain(self.predictions),
            "checks": _plain(self.checks),
            "layer": self.layer,
            "references": [{**asdict(r), "factor": r.factor} for r in self.references],
        }


def validate(chips: Sequence[Chip] | None = None) -> Validation:
    """Fit to every chip, to each one only and to all except each.

    Chips without a figure to fit to are only checked. ``chips`` are the shipped ones unless given.
    """
    chips = measured_chips() if chips is None else tuple(chips)
    fitted = [chip for chip in chips if chip.used_for("fit")]
    own = {chip.name: fit_scales([chip], _OWN_MISS_LN) for chip in fitted}
    others = {
        chip.name: fit_scales([other for other in fitted if other is not chip]) for chip in fitted
    }
    everything = fit_scales(fitted)
    return Validation(
        scales=everything,
        calibrated={chip.name: _error(chip, own[chip.name]) for chip in fitted},
        left_out={chip.name: _error(chip, others[chip.name]) for chip in fitted},
        left_out_scales=others,
        predictions=_fitted_figures(fitted, others),
        own_predictions=_fitted_figures(fitted, own),
        checks=tuple(
            _prediction(chip.name, figure, own.get(chip.name, everything))
            for chip in chips
            for figure in chip.used_for("check")
        ),
        layer=check_layer(own.get("wang_2022", everything)),
        references=references(chips),
    )


def fit_scales(chips: Sequence[Chip], miss_ln: float = MISS_LN) -> Scales:
    """Return the scales that explain the fitted figures of ``chips`` best (damped Gauss-Newton)."""
    logs = [0.0] * len(_NAMES)
    figures = [
        (figure, 1 / (miss_ln * math.sqrt(len(chip.used_for("fit")))))
        for chip in chips
        for figure in chip.used_for("fit")
    ]
    for _ in range(_STEPS):
        move = _step(logs, figures)
        largest = max(abs(part) for part in move)
        logs = [log + part * min(1.0, 0.5 / largest) if largest else log
                for log, part in zip(logs, move, strict=True)]  # fmt: skip
        if largest < 1e-9:
            break
    return _scales(logs)


def _plain(rows: Iterable[Prediction]) -> list[dict[str, Any]]:
    return [{**asdict(row), "factor_error": row.factor_error} for row in rows]


def geomean(values: Iterable[float]) -> float:
    """Return the geometric mean."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def _scales(logs: Sequence[float]) -> Scales:
    return Scales(**{name: math.exp(log) for name, log in zip(_NAMES, logs, strict=True)})


def _error(chip: Chip, scales: Scales) -> float:
    whole = [figure for figure in chip.used_for("fit") if figure.whole]
    return geomean(_prediction(chip.name, figure, scales).factor_error for figure in whole)


def _fitted_figures(chips: Sequence[Chip], scales: Mapping[str, Scales]) -> tuple[Prediction, ...]:
    return tuple(
        _prediction(chip.name, figure, scales[chip.name])
        for chip in chips
        for figure in chip.used_for("fit")
    )


def _prediction(chip: str, figure: Figure, scales: Scales) -> Prediction:
    return Prediction(
        chip=chip,
        condition=figure.condition,
        parts=figure.parts,
        measured_fj=figure.fj_per_mac,
        predicted_fj=figure.predicted_fj(scales),
    )


def _step(logs: list[float], figures: Sequence[tuple[Figure, float]]) -> list[float]:
    """Return the move of one Gauss-Newton step: (J'J + P) move = J'r - P logs."""
    size = len(logs)
    matrix = [[(i == j) / PRIOR_LN**2 for j in range(size)] for i in range(size)]
    target = [-log / PRIOR_LN**2 for log in logs]
    for figure, weight in figures:
        here = math.log(figure.predicted_fj(_scales(logs)))
        slopes = []
        for i in range(size):
            nudged = [log + _NUDGE * (i == j) for j, log in enumerate(logs)]
            slopes.append((math.log(figure.predicted_fj(_scales(nudged))) - here) / _NUDGE)
        miss = math.log(figure.fj_per_mac) - here
        for i in range(size):
            target[i] += weight**2 * slopes[i] * miss
            for j in range(size):
                matrix[i][j] += weight**2 * slopes[i] * slopes[j]
    return _solve(matrix, target)


def _solve(matrix: list[list[float]], target: list[float]) -> list[float]:
    """Solve a small positive definite system by Gauss-Jordan elimination."""
    rows = [[*row, value] for row, value in zip(matrix, target, strict=True)]
    for i in range(len(rows)):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(len(rows)):
            if j != i:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
    return [row[-1] for row in rows]
