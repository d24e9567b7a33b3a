"""The Pareto plot of a comparison as inline SVG: overall accuracy over energy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from snnquant.report.compared_runs import Comparison
from snnquant.report.compared_tables import number

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 24, 20, 48


@dataclass(frozen=True)
class _Point:
    number: int
    energy: float
    accuracy: float
    dominated: bool


def pareto_svg(comparison: Comparison, names: Mapping[int, str]) -> str | None:
    """Draw OA in per cent over nJ per pixel; None where no network has an energy.

    The front is a line of steps, the dominated networks are grey. Colours come from the page's
    CSS variables `--ink`, `--quiet`, `--accent`.

    Args:
        comparison: The networks.
        names: Their names by number.
    """
    points = [
        _Point(row.number, row.energy.total_nj, 100 * row.oa, bool(row.dominated_by))
        for row in comparison.networks
        if row.energy is not None and row.energy.total_nj > 0
    ]
    if not points:
        return None
    energies, accuracies = [p.energy for p in points], [p.accuracy for p in points]
    x_low, x_high = math.log10(min(energies) / 1.25), math.log10(max(energies) * 1.25)
    ticks = _accuracy_ticks(min(accuracies), max(accuracies))
    y_low, y_high = ticks[0], ticks[-1]

    def x(energy: float) -> float:
        share = (math.log10(energy) - x_low) / (x_high - x_low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(accuracy: float) -> float:
        share = (accuracy - y_low) / (y_high - y_low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="pareto-title">',
        '<title id="pareto-title">Overall accuracy over energy per pixel</title>',
    ]
    digits = max(len(f"{tick:g}".partition(".")[2]) for tick in ticks)
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{_LEFT} {y(tick):.1f}H{right}"/>')
        parts.append(_text(_LEFT - 8, y(tick) + 4, f"{tick:.{digits}f}", "end"))
    for energy in _energy_ticks(10**x_low, 10**x_high):
        parts.append(f'<path class="grid" d="M{x(energy):.1f} {_TOP}V{bottom}"/>')
        parts.append(_text(x(energy), bottom + 18, f"{energy:,g}", "middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, "energy, nJ per pixel", "middle"))
    parts.append(
        f'<text transform="translate(18 {(_TOP + bottom) / 2:.1f}) rotate(-90)" '
        'text-anchor="middle">OA, %</text>'
    )
    front = sorted((p for p in points if not p.dominated), key=lambda p: (p.energy, p.accuracy))
    steps = f"M{x(front[0].energy):.1f} {y(front[0].accuracy):.1f}" + "".join(
        f"H{x(p.energy):.1f}V{y(p.accuracy):.1f}" for p in front[1:]
    )
    parts.append(f'<path class="front" d="{steps}"/>')
    for point in sorted(points, key=lambda p: not p.dominated):
        kind = "dominated" if point.dominated else "best"
        title = f"{names[point.number]}: OA {point.accuracy:.2f} %, {number(point.energy)} nJ"
        place = x(point.energy), y(point.accuracy)
        parts.append(
            f'<g class="{kind}"><title>{escape(title)}</title>'
            f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="5"/>'
            f"{_text(place[0] + 9, place[1] - 7, str(point.number), 'start')}</g>"
        )
    return "\n".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _accuracy_ticks(low: float, high: float) -> list[float]:
    """Return evenly spaced round numbers that enclose a range.

    >>> _accuracy_ticks(91.2, 93.9)
    [91.0, 92.0, 93.0, 94.0]
    """
    span = max(high - low, 0.02)
    power = 10.0 ** math.floor(math.log10(span / 3))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(place * step, 6) for place in range(first, max(last, first + 1) + 1)]


def _energy_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten within a range; only powers in a wide one.

    >>> _energy_ticks(40.0, 300.0)
    [50.0, 100.0, 200.0]
    """
    factors = (1, 2, 5) if high / low < 300 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]
