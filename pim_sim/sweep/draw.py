"""A sweep as a picture: energy factor over two axes, and where ACE-SNN's figures hold."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_sim.atomic import replacing
from pim_sim.errors import InputError
from pim_sim.sweep.explore import Region
from pim_sim.sweep.points import Sweep

_CELL, _LEFT, _TOP, _BELOW = 34, 96, 64, 110
_MOST_CELLS = 60


def draw(points: Sweep, regions: tuple[Region, Region], target: Path) -> None:
    """Write an SVG of the first axis (across) and the second (up).

    A square is coloured by the highest energy factor that the other axes reach there, blue where
    memory wins and red where it loses; a dot marks that some design in it reaches all of ACE-SNN's
    figures read as factors, a ring that one reaches them read as savings. Raises `InputError` for
    fewer than two axes, an axis of more than 60 values, or a file that cannot be written.
    """
    if len(points.axes) < 2:
        raise InputError(f"--svg: found {len(points.axes)} axis, expected two or more")
    (across, first), (up, second) = list(points.axes.items())[:2]
    columns, x = np.unique(first, return_inverse=True)
    rows, y = np.unique(second, return_inverse=True)
    if max(len(columns), len(rows)) > _MOST_CELLS:
        expected = f"at most {_MOST_CELLS} values of each of the first two axes"
        raise InputError(f"--svg: found {len(columns)} and {len(rows)}, expected {expected}")
    best = np.full((len(rows), len(columns)), -np.inf)
    np.maximum.at(best, (y, x), points.results["energy_factor"])
    held = [_any(found.mask, y, x, best.shape) for found in regions]
    width, height = _LEFT + _CELL * len(columns) + 20, _TOP + _CELL * len(rows) + _BELOW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="20">Energy, digital over in memory: the best of each square</text>',
        f'<text x="{_LEFT}" y="36">dot: 1.30 / 1.07 / 1.38 reached as factors; '
        "ring: 30 / 7 / 38 % reached as savings</text>",
    ]
    for i, j in np.ndindex(best.shape):
        if np.isfinite(best[i, j]):
            marks = [bool(mask[i, j]) for mask in held]
            parts += _square(float(best[i, j]), j, len(rows) - 1 - i, marks)
    bottom = _TOP + _CELL * len(rows)
    for j, value in enumerate(columns):
        at = _LEFT + _CELL * (j + 0.5)
        turned = f'transform="rotate(45 {at} {bottom + 14})"'
        parts.append(f'<text x="{at}" y="{bottom + 14}" {turned}>{_label(value)}</text>')
    parts += [
        f'<text x="{_LEFT - 6}" y="{bottom - _CELL * i - _CELL / 2 + 4}" text-anchor="end">'
        f"{_label(value)}</text>"
        for i, value in enumerate(rows)
    ]
    parts.append(f'<text x="{_LEFT}" y="{height - 8}">across: {escape(across)}</text>')
    parts.append(f'<text x="4" y="{_TOP - 8}">up: {escape(up)}</text></svg>')
    with replacing(target) as file:
        file.write("\n".join(parts) + "\n")


def _square(factor: float, column: int, row: int, marks: list[bool]) -> list[str]:
    left, top = _LEFT + _CELL * column, _TOP + _CELL * row
    shapes = [
        f'<rect x="{left}" y="{top}" width="{_CELL}" height="{_CELL}" fill="{_colour(factor)}"/>',
        f'<text x="{left + _CELL / 2}" y="{top + 12}" text-anchor="middle" font-size="9">'
        f"{factor:.2g}</text>",
    ]
    middle = f'cx="{left + _CELL / 2}" cy="{top + 23}"'
    if marks[0]:
        shapes.append(f'<circle {middle} r="3"/>')
    if marks[1]:
        shapes.append(f'<circle {middle} r="6" fill="none" stroke="black"/>')
    return shapes


def _colour(factor: float) -> str:
    """White at 1, blue at 4 and above, red at a quarter and below."""
    share = max(-1.0, min(1.0, math.log(factor) / math.log(4)))
    faded = round(255 - 155 * abs(share))
    return f"rgb({faded},{faded},255)" if share >= 0 else f"rgb(255,{faded},{faded})"


def _any(
    mask: NDArray[np.bool_], y: NDArray[Any], x: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    held = np.zeros(shape, dtype=bool)
    np.logical_or.at(held, (y, x), mask)
    return held


def _label(value: Any) -> str:
    return escape(f"{value:g}" if isinstance(value, np.number) else str(value))
