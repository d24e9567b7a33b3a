"""Charts of the page as SVG text, drawn without a script and in the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Points = Sequence[tuple[float, float]]
_WIDTH, _HEIGHT = 520, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 40
SERIES = 8
"""Colours and dashes of series in the page's style sheet; further series repeat them."""


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False
    """Ticks at whole numbers only."""

    def at(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            value, low, high = (math.log10(v) for v in (max(value, low), low, high))
        share = (value - low) / (high - low or 1)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        if self.log:
            exponents = range(
                math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1
            )
            return [10.0**exponent for exponent in exponents]
        return _ticks(self.low, self.high, whole=self.whole)


def _ticks(low: float, high: float, wanted: int = 5, whole: bool = False) -> list[float]:
    """Return round numbers between two ends.

    >>> _ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    raw = (high - low) / wanted or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    if whole:
        step = max(1.0, step)
        first, last = math.ceil(low / step), math.floor(high / step)
    return [round(k * step, 12) for k in range(first, last + 1)]


def line_chart(
    title: str,
    series: Mapping[str, Points],
    x_label: str,
    y_label: str,
    *,
    log: bool = False,
    marks: bool = False,
    y_ends: tuple[float, float] | None = None,
    colours: Sequence[str] = (),
    sizes: Sequence[float] = (),
) -> Markup:
    """Return a chart of lines with its axes and a legend.

    Args:
        title: Text for readers who do not see the chart.
        series: Points by name.
        x_label: Text under the horizontal axis.
        y_label: Text over the vertical axis.
        log: Logarithmic vertical axis; values that are not positive stand at its lower end.
        marks: Draw a dot at every point.
        y_ends: Ends of the vertical axis; those of the values by default.
        colours: Colours of the series, "#rrggbb"; those of the page by default.
        sizes: Radii of the points of the first series, which then has no line.

    >>> chart = line_chart("loss", {"<cnn>": [(1, 2), (2, 1)], "snn": [(1, 1)]}, "epoch", "loss")
    >>> "<polyline" in chart, "&lt;cnn&gt;" in chart
    (True, True)
    """
    points = [point for line in series.values() for point in line if _finite(point)]
    if not points:
        return Markup("")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = y_ends or (min(ys), max(ys))
    if log:
        low = min((y for y in ys if y > 0), default=1e-3)
        high = max(high, low * 10)
    elif low == high:
        low, high = low - 1, high + 1
    whole = all(float(value).is_integer() for value in xs)
    x = _Axis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT, whole=whole)
    y = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP, log)
    drawn = [_frame(x, y, x_label)]
    for k, line in enumerate(series.values()):
        places = [(x.at(a), y.at(b)) for a, b in line if _finite((a, b))]
        text = " ".join(f"{a},{b}" for a, b in places)
        stroke = _stroke(k, colours)
        if sizes and k == 0:
            dot = Markup('<circle class="dot filled s0" cx="{}" cy="{}" r="{:.1f}"/>')
            drawn += [dot.format(*at, size) for at, size in zip(places, sizes, strict=True)]
            continue
        drawn.append(Markup('<polyline class="line {}" points="{}"/>').format(stroke, text))
        if marks:
            dot = Markup('<circle class="dot s{}" cx="{}" cy="{}" r="3.5"/>')
            drawn += [dot.format(k % SERIES, a, b) for a, b in places]
    size = Markup('viewBox="0 0 {} {}"').format(_WIDTH, _HEIGHT)
    picture = Markup('<svg class="chart" {} role="img" aria-label="{}">{}</svg>').format(
        size, title, Markup("").join(drawn)
    )
    return Markup('<figure class="plot"><figcaption>{}</figcaption>{}{}</figure>').format(
        y_label, picture, legend(list(series), colours) if len(series) > 1 else ""
    )


def _frame(x: _Axis, y: _Axis, x_label: str) -> Markup:
    grid, left, bottom = [], _LEFT, _HEIGHT - _BOTTOM
    for value in y.ticks():
        grid.append(
            f'<line class="grid" x1="{left}" x2="{_WIDTH - _RIGHT}" y1="{y.at(value)}" '
            f'y2="{y.at(value)}"/><text x="{left - 8}" y="{y.at(value) + 4}" '
            f'text-anchor="end">{value:,g}</text>'
        )
    for value in x.ticks():
        grid.append(
            f'<line class="tick" x1="{x.at(value)}" x2="{x.at(value)}" y1="{bottom}" '
            f'y2="{bottom + 4}"/><text x="{x.at(value)}" y="{bottom + 18}" '
            f'text-anchor="middle">{value:g}</text>'
        )
    grid.append(
        f'<line class="axis" x1="{left}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>'
    )
    grid.append(
        f'<text x="{(left + _WIDTH) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    return Markup("".join(grid))


def legend(names: Sequence[str], colours: Sequence[str] = ()) -> Markup:
    """Return the legend of series, in their order.

    >>> "Corn" in legend(["Corn", "Oats"])
    True
    """
    key = (
        '<li><svg class="key" viewBox="0 0 24 8" aria-hidden="true">'
        '<line class="line {}" x1="1" x2="23" y1="4" y2="4"/></svg>{}</li>'
    )
    rows = [Markup(key).format(_stroke(k, colours), name) for k, name in enumerate(names)]
    return Markup('<ul class="keys">{}</ul>').format(Markup("").join(rows))


def _stroke(number: int, colours: Sequence[str]) -> Markup:
    """Return the class of a series, and its own colour where it has one."""
    if colours:
        return Markup('" style="stroke: {}').format(colours[number])
    return Markup(f"s{number % SERIES}")


def _finite(point: tuple[float, float]) -> bool:
    return all(math.isfinite(value) for value in point)
