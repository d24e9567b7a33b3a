"""Parity of measured and predicted energy as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from itertools import count, cycle
from pathlib import Path

from pim_sim.atomic import replacing
from pim_sim.validation.fit import Prediction, Validation

_SIDE, _LEFT, _TOP = 420, 64, 64
_WIDTH, _HEIGHT = _LEFT + _SIDE + 150, _TOP + _SIDE + 48
_COLOURS = ("#1b6ca8", "#c8553d", "#3c8c4a", "#7b4fa3", "#a67c00", "#444444")
_MARKS = {"calibrated": 'r="6" fill="none" stroke-width="1.5"', "left out": 'r="3.5"'}


def draw_parity(result: Validation, target: Path) -> None:
    """Write an SVG of measured (across) against predicted (up) fJ a MAC of whole macros.

    Both axes are logarithmic. Rings are predicted with scales fitted to the chip itself, dots with
    those of the other chips; the line is equality, the band a factor of 2 to either side. Raises
    `InputError` for a file that cannot be written.
    """
    marked = [
        (kind, row)
        for kind, rows in (("calibrated", result.own_predictions), ("left out", result.predictions))
        for row in rows
        if row.parts == ("whole",)
    ]
    colours = dict(zip(result.left_out, cycle(_COLOURS), strict=False))
    energies = [energy for _, row in marked for energy in (row.measured_fj, row.predicted_fj)]
    axis = _Axis(min(energies) / 2, 2 * max(energies))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="20">Energy of a multiply-accumulate of measured chips</text>',
        f'<text x="{_LEFT}" y="36">line: equal; band: within a factor of 2; '
        f"left out: geometric mean error {result.left_out_geomean:.2f}</text>",
        *axis.frame(),
        *(_mark(axis, kind, row, colours[row.chip]) for kind, row in marked),
        *_legend(colours),
        "</svg>",
    ]
    with replacing(target) as file:
        file.write("\n".join(parts) + "\n")


class _Axis:
    """The same logarithmic axis across and up."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def place(self, across: float, up: float) -> tuple[float, float]:
        """Where a pair of energies lies in the picture."""
        x, y = (math.log(v / self.low) / math.log(self.high / self.low) for v in (across, up))
        return round(_LEFT + _SIDE * x, 2), round(_TOP + _SIDE * (1 - y), 2)

    def frame(self) -> Iterator[str]:
        """Band, line, border, ticks and titles."""
        low, high = self.low, self.high
        corners = ((low, low), (low, 2 * low), (high / 2, high), (high, high), (high, high / 2),
                   (2 * low, low))  # fmt: skip
        band = " ".join(f"{x},{y}" for x, y in (self.place(*corner) for corner in corners))
        (left, bottom), (right, top) = self.place(low, low), self.place(high, high)
        yield f'<polygon points="{band}" fill="#e8eef4"/>'
        yield f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{top}" stroke="#888"/>'
        yield (
            f'<rect x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}" fill="none" '
            'stroke="black"/>'
        )
        for energy in self._ticks():
            x, y = self.place(energy, energy)
            yield f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{energy:g}</text>'
            yield f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{energy:g}</text>'
            yield f'<path d="M{x} {bottom}v4M{left} {y}h-4" stroke="black"/>'
        yield f'<text x="{left}" y="{_HEIGHT - 8}">across: measured, fJ a MAC</text>'
        yield f'<text x="4" y="{_TOP - 8}">up: predicted, fJ a MAC</text>'

    def _ticks(self) -> Iterator[float]:
        """1, 2 and 5 of each decade within the axis."""
        for decade in count(math.floor(math.log10(self.low))):
            for digit in (1, 2, 5):
                tick = digit * 10.0**decade
                if tick > self.high:
                    return
                if tick >= self.low:
                    yield tick


def _mark(axis: _Axis, kind: str, row: Prediction, colour: str) -> str:
    x, y = axis.place(row.measured_fj, row.predicted_fj)
    words = f"{row.chip}, {row.condition}, {kind}: {row.measured_fj:.4g} fJ measured, "
    words += f"{row.predicted_fj:.4g} predicted"
    title = f"<title>{escape(words)}</title>"
    return f'<circle class="{kind}" cx="{x}" cy="{y}" {_painted(kind, colour)}>{title}</circle>'


def _painted(kind: str, colour: str) -> str:
    return f'{_MARKS[kind]} {"fill" if kind == "left out" else "stroke"}="{colour}"'


def _legend(colours: dict[str, str]) -> Iterator[str]:
    x, line = _LEFT + _SIDE + 16, count(_TOP + 12, 18)
    for chip, colour in colours.items():
        y = next(line)
        yield f'<rect x="{x - 4}" y="{y - 8}" width="8" height="8" fill="{colour}"/>'
        yield f'<text x="{x + 12}" y="{y}">{escape(chip)}</text>'
    for kind in _MARKS:
        y = next(line)
        yield f'<circle cx="{x}" cy="{y - 4}" {_painted(kind, "black")}/>'
        yield f'<text x="{x + 12}" y="{y}">{kind}</text>'
