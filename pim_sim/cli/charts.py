"""Charts as SVG (stacked bars, scatter, heat map), and the pictures of the commands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pim_sim.errors import InputError
from pim_sim.io import replacing

if TYPE_CHECKING:
    from pim_sim.cost_model import Report
    from pim_sim.sweep import Explored
    from pim_sim.validation import Silicon, Validation

COLOURS = (
    "#1b6ca8", "#c8553d", "#3c8c4a", "#a67c00", "#7b4fa3", "#4aa3a2", "#8a8a8a", "#d98cb3",
    "#5a4632", "#9bc53d", "#2f4b7c", "#f2a65a", "#000000", "#b0b0ff",
)  # fmt: skip
_MIN_LABELLED = 0.06
"""Share of a bar from which a part is labelled with its percentage."""
_MAX_CELLS = 60
_BAR, _THICK, _GAP, _LEGEND_COLUMNS = 460, 26, 10, 4
_SIDE, _CELL = 420, 34


def draw_breakdown(report: Report, target: Path) -> None:
    """Draw energy and delay of either design by component; `InputError` as `replacing`.

    The longer bar of a pair is the full width.
    """
    versus = report.comparison
    shape = "x".join(map(str, report.layer.weight_shape))
    low, high = report.uncertainty.energy
    titles = (
        f"{report.layer.name} ({shape}) on {report.hardware}",
        f"digital / in memory: energy {versus.energy.factor:.2f} "
        f"(80 % interval {low:.2f} to {high:.2f}), delay {versus.delay.factor:.2f}, "
        f"EDP {versus.edp.factor:.2f}",
    )
    pairs = [
        (
            unit,
            {
                side.replace("_", " "): {
                    part.replace("_", " "): getattr(cost, quantity) * 1e-3
                    for part, cost in design.components.items()
                }
                for side, design in report.designs.items()
            },
        )
        for unit, quantity in (("nJ", "energy_pj"), ("us", "delay_ns"))
    ]
    write(target, _bars(titles, pairs))


def draw_parity(result: Validation, target: Path) -> None:
    """Draw measured (across) against predicted (up) fJ per MAC; `InputError` as `replacing`.

    Each dot is a measured condition of a family that the fit has not seen; a ring marks one whose
    sources contradict each other. The line is equality, the band a factor of 2 to either side.
    """
    energy = result.left_out["energy"]
    marks = [
        Mark(
            "doubtful" if missed.doubtful else "left out",
            missed.kind.replace("_", " "),
            measured,
            predicted,
            f"{name}: {measured:.4g} fJ measured, {predicted:.4g} predicted",
        )
        for missed in energy.missed
        for name, measured, predicted in missed.figures
    ]
    titles = (
        "Energy per multiply-accumulate of measured macros",
        "line: equal; band: within a factor of 2; left out: geometric mean error "
        f"{energy.geomean():.2f} of SRAM and digital",
    )
    axes = ("across: measured, fJ per MAC", "up: predicted, fJ per MAC")
    kinds = list(dict.fromkeys(mark.series for mark in marks))
    write(target, _scatter(titles, axes, kinds, marks))


def draw_silicon(rows: Sequence[Silicon], target: Path) -> None:
    """Draw measured (across) against modelled (up) pJ per operation; `InputError` as `replacing`.

    Each dot is a shipped chip at its own node, supply and bits, none of them fitted to.
    """
    names = {"MAC": "multiply-accumulate", "SOP": "synaptic operation"}
    marks = [
        Mark(
            "not fitted",
            names[row.operation],
            row.measured_pj,
            row.ours_pj,
            f"{row.chip}, {row.node_nm:g} nm: {row.measured_pj:.4g} pJ measured, "
            f"{row.ours_pj:.4g} modelled, factor {row.factor:.2f}",
        )
        for row in rows
    ]
    titles = (
        "Energy per operation of spiking chips and CNN accelerators, and of the digital side",
        "line: equal; band: within a factor of 2",
    )
    axes = ("across: measured, pJ per operation", "up: modelled, pJ per operation")
    write(target, _scatter(titles, axes, list(names.values()), marks))


def draw_regions(explored: Explored, target: Path) -> None:
    """Draw the best energy factor over the first axis (across) and the second (up).

    A square is blue where memory wins and red where it loses; a dot marks that some design in it
    reaches the claim as first read, a ring that one reaches the second reading. Raises `InputError`
    for fewer than two axes, an axis of more than 60 values, or a file that cannot be written.
    """
    points = explored.points
    if len(points.axes) < 2:
        raise InputError(f"--svg: found {len(points.axes)} axis, expected two or more")
    (across, first), (up, second) = list(points.axes.items())[:2]
    columns, x = np.unique(first, return_inverse=True)
    rows, y = np.unique(second, return_inverse=True)
    if max(len(columns), len(rows)) > _MAX_CELLS:
        expected = f"at most {_MAX_CELLS} values of each of the first two axes"
        raise InputError(f"--svg: found {len(columns)} and {len(rows)}, expected {expected}")
    best = np.full((len(rows), len(columns)), -np.inf)
    np.maximum.at(best, (y, x), points.results["energy_factor"])
    marks, legend = [], []
    for shape, region in zip(("dot", "ring"), explored.regions, strict=False):
        reached = np.zeros(best.shape, dtype=bool)
        np.logical_or.at(reached, (y, x), region.mask)
        marks.append(reached)
        factors = " / ".join(f"{factor:.2f}" for factor in region.claim.factors.values())
        legend.append(f"{shape}: {region.claim.title} as {region.claim.reading}, {factors}")
    titles = ("Energy, digital over in memory: the best of each square", "; ".join(legend))
    write(target, _heat_map(titles, (across, columns), (up, rows), best, marks))


@dataclass(frozen=True)
class Mark:
    """One point of a scatter: its kind ("doubtful" ones are rings), its series, place and hint."""

    kind: str
    series: str
    across: float
    up: float
    hint: str


def write(target: Path, parts: Iterator[str]) -> None:
    """Write the lines of a picture; `InputError` as `replacing`."""
    with replacing(target) as temporary:
        temporary.write_text("\n".join(parts) + "\n", encoding="utf-8")


def page(width: float, height: float) -> str:
    """Return the head of a picture."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>'
    )


def text(x: float, y: float, words: str, attributes: str = "") -> str:
    """Return words at a place."""
    return f'<text x="{x}" y="{y}"{attributes and " " + attributes}>{escape(words)}</text>'


def _bars(
    titles: tuple[str, str], pairs: Sequence[tuple[str, Mapping[str, Mapping[str, float]]]]
) -> Iterator[str]:
    """Yield pairs of stacked bars, each of one unit, and a legend of their parts."""
    left, top = 84, 64
    parts = dict.fromkeys(name for _, pair in pairs for bar in pair.values() for name in bar)
    colours = dict(zip(parts, cycle(COLOURS), strict=False))
    bars = sum(len(pair) for _, pair in pairs)
    legend_top = top + bars * (_THICK + _GAP) + len(pairs) * _GAP
    yield page(left + _BAR + 90, legend_top + 16 * -(-len(colours) // _LEGEND_COLUMNS) + 8)
    yield text(8, 20, titles[0], 'font-size="13"')
    yield text(8, 40, titles[1])
    for unit, pair in pairs:
        longest = max(sum(bar.values()) for bar in pair.values())
        for name, bar in pair.items():
            yield from _bar(name, bar, longest, unit, colours, left, top)
            top += _THICK + _GAP
        top += _GAP
    for i, (name, colour) in enumerate(colours.items()):
        x, y = 8 + 152 * (i % _LEGEND_COLUMNS), legend_top + 16 * (i // _LEGEND_COLUMNS)
        yield f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>'
        yield text(x + 15, y + 9, name)
    yield "</svg>"


def _bar(
    name: str,
    bar: Mapping[str, float],
    longest: float,
    unit: str,
    colours: Mapping[str, str],
    left: float,
    top: float,
) -> Iterator[str]:
    total, middle = sum(bar.values()), top + _THICK / 2 + 4
    yield text(left - 6, middle, name, 'text-anchor="end"')
    for part, value in bar.items():
        width = _BAR * value / longest
        yield (
            f'<rect x="{left:.2f}" y="{top}" width="{width:.2f}" height="{_THICK}" '
            f'fill="{colours[part]}"><title>{escape(part)}: {value:.4g} {unit}</title></rect>'
        )
        if width > _MIN_LABELLED * _BAR:
            yield text(
                round(left + width / 2, 2),
                middle,
                f"{value / total:.0%}",
                'fill="white" text-anchor="middle"',
            )
        left += width
    yield text(round(left + 6, 2), middle, f"{total:.4g} {unit}")


def _scatter(
    titles: tuple[str, str], axes: tuple[str, str], series: Sequence[str], marks: Sequence[Mark]
) -> Iterator[str]:
    """Yield marks on two equal logarithmic axes, with the line of equality and a band of 2."""
    left, top = 64, 64
    height = top + _SIDE + 48
    colours = dict(zip(series, cycle(COLOURS), strict=False))
    values = [value for mark in marks for value in (mark.across, mark.up)]
    low, high = min(values) / 2, 2 * max(values)

    def place(across: float, up: float) -> tuple[float, float]:
        x, y = (math.log(value / low) / math.log(high / low) for value in (across, up))
        return round(left + _SIDE * x, 2), round(top + _SIDE * (1 - y), 2)

    yield page(left + _SIDE + 150, height)
    yield text(left, 20, titles[0])
    yield text(left, 36, titles[1])
    corners = ((low, low), (low, 2 * low), (high / 2, high), (high, high), (high, high / 2),
               (2 * low, low))  # fmt: skip
    band = " ".join(f"{x},{y}" for x, y in (place(*corner) for corner in corners))
    bottom, right = top + _SIDE, left + _SIDE
    yield f'<polygon points="{band}" fill="#e8eef4"/>'
    yield f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{top}" stroke="#888"/>'
    yield (
        f'<rect x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="black"/>'
    )
    for tick in ticks(low, high):
        x, y = place(tick, tick)
        yield text(x, bottom + 16, f"{tick:g}", 'text-anchor="middle"')
        yield text(left - 6, y + 4, f"{tick:g}", 'text-anchor="end"')
        yield f'<path d="M{x} {bottom}v4M{left} {y}h-4" stroke="black"/>'
    yield text(left, height - 8, axes[0])
    yield text(4, top - 8, axes[1])
    for mark in marks:
        x, y = place(mark.across, mark.up)
        look = f'class="{mark.kind}" {_look(mark.kind, colours[mark.series])}'
        title = f"<title>{escape(mark.hint)}</title>"
        yield f'<circle {look} cx="{x}" cy="{y}">{title}</circle>'
    yield from _scatter_legend(colours, dict.fromkeys(mark.kind for mark in marks), right + 16, top)
    yield "</svg>"


def _scatter_legend(
    colours: Mapping[str, str], kinds: Mapping[str, None], x: float, top: float
) -> Iterator[str]:
    line = count(top + 12, 18)
    for (name, colour), y in zip(colours.items(), line, strict=False):
        yield f'<rect x="{x - 4}" y="{y - 8}" width="8" height="8" fill="{colour}"/>'
        yield text(x + 12, y, name)
    for kind, y in zip(kinds, line, strict=False):
        yield f'<circle {_look(kind, "black")} cx="{x}" cy="{y - 4}"/>'
        yield text(x + 12, y, kind)


def _look(kind: str, colour: str) -> str:
    if kind == "doubtful":
        return f'r="6" fill="none" stroke-width="1.5" stroke="{colour}"'
    return f'r="3.5" fill="{colour}"'


def ticks(low: float, high: float) -> Iterator[float]:
    """Yield 1, 2 and 5 of each decade from low to high."""
    for decade in range(math.floor(math.log10(low)), math.ceil(math.log10(high))):
        for digit in (1, 2, 5):
            if low <= (tick := digit * 10.0**decade) <= high:
                yield tick


def _heat_map(
    titles: tuple[str, str],
    across: tuple[str, NDArray[Any]],
    up: tuple[str, NDArray[Any]],
    values: NDArray[np.float64],
    marks: Sequence[NDArray[np.bool_]],
) -> Iterator[str]:
    """Yield a square per value, coloured around 1, with a dot and a ring where the marks hold."""
    left, top, below = 96, 64, 110
    rows, columns = values.shape
    bottom = top + _CELL * rows
    yield page(left + _CELL * columns + 20, bottom + below)
    yield text(left, 20, titles[0])
    yield text(left, 36, titles[1])
    for i, j in np.ndindex(values.shape):
        if np.isfinite(values[i, j]):
            corner = left + _CELL * j, bottom - _CELL * (i + 1)
            yield from _square(float(values[i, j]), *corner, [bool(mark[i, j]) for mark in marks])
    for j, value in enumerate(across[1]):
        x, y = left + _CELL * (j + 0.5), bottom + 14
        yield text(x, y, _label(value), f'transform="rotate(45 {x} {y})"')
    for i, value in enumerate(up[1]):
        y = bottom - _CELL * i - _CELL / 2 + 4
        yield text(left - 6, y, _label(value), 'text-anchor="end"')
    yield text(left, bottom + below - 8, f"across: {across[0]}")
    yield text(4, top - 8, f"up: {up[0]}")
    yield "</svg>"


def _square(value: float, left: float, top: float, marked: Sequence[bool]) -> Iterator[str]:
    yield f'<rect x="{left}" y="{top}" width="{_CELL}" height="{_CELL}" fill="{_colour(value)}"/>'
    middle = left + _CELL / 2
    yield text(middle, top + 12, f"{value:.2g}", 'text-anchor="middle" font-size="9"')
    shapes = ('r="3"', 'r="6" fill="none" stroke="black"')
    for here, shape in zip(marked, shapes, strict=False):
        if here:
            yield f'<circle cx="{middle}" cy="{top + 23}" {shape}/>'


def _colour(factor: float) -> str:
    """Return white at 1, blue at 4 and above, red at a quarter and below."""
    share = max(-1.0, min(1.0, math.log(factor) / math.log(4)))
    faded = round(255 - 155 * abs(share))
    return f"rgb({faded},{faded},255)" if share >= 0 else f"rgb(255,{faded},{faded})"


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, np.number) else str(value)
