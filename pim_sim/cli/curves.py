"""Curves of a sweep as SVG: energy over one axis, and energy over accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pim_sim.cli.charts import COLOURS, page, text, ticks, write

if TYPE_CHECKING:
    from pim_sim.sweep import Explored

_LEFT, _TOP, _WIDE, _HIGH, _BELOW = 72, 64, 420, 280, 60
_MAX_MARKS = 5000
_EDGE = 0.03
"""Share of the picture that stays free at its edges."""

Point = tuple[float, float]


def draw_curve(explored: Explored, target: Path) -> None:
    """Draw the energy of both sides over the only axis; `InputError` as `replacing`.

    Words stand in the order given.
    """
    points = explored.points
    ((name, values),) = points.axes.items()
    numbers = values.dtype.kind in "iuf"
    across = values.astype(float) if numbers else np.arange(len(values), dtype=float)
    order = np.argsort(across, kind="stable")
    series = {
        "digital": points.results["digital_energy_pj"] / 1e3,
        "in memory": points.results["energy_pj"] / 1e3,
    }
    everything = np.concatenate(list(series.values()))
    low, high = float(everything.min()) / 1.2, float(everything.max()) * 1.2
    labels = [f"{value:g}" if numbers else str(value) for value in values.tolist()]
    place = _places((float(across.min()), float(across.max())), (low, high))
    parts = list(_frame(f"Energy over {name}", f"across: {name}", "up: nJ, logarithmic"))
    parts += _up(low, high, place)
    for x, label in _spread_labels([(place(a, low)[0], labels[i]) for i, a in enumerate(across)]):
        parts.append(text(x, _TOP + _HIGH + 16, label, 'text-anchor="middle"'))
    for energies, colour in zip(series.values(), COLOURS, strict=False):
        line = [place(float(across[i]), float(energies[i])) for i in order]
        drawn = " ".join(f"{x},{y}" for x, y in line)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in line]
    parts += _legend(list(series))
    write(target, iter([*parts, "</svg>"]))


def draw_front(explored: Explored, target: Path) -> None:
    """Draw every design by energy (across) and accuracy (up); `InputError` as `replacing`.

    Accuracy is the measured one, or what the estimated error of quantization leaves of 100 %.
    Designs of the Pareto front are rings.
    """
    results, front = explored.points.results, explored.result.front
    measured = "oa" in results
    energies = results["energy_pj"] / 1e3
    worth = 100 * (results["oa"] if measured else 1 - results["quantization_error"])
    shown = np.unique(np.linspace(0, len(energies) - 1, _MAX_MARKS).astype(int))
    low, high = float(energies.min()), float(energies.max())
    bottom, top = float(worth.min()), float(worth.max())
    across = (math.log(low), math.log(max(high, low * 1.01)))
    place = _places(across, (bottom, max(top, bottom + 0.1)), logarithmic=False)
    words = "measured OA" if measured else "100 % less the estimated error of quantization"
    parts = list(_frame(f"Energy over {words}", "across: nJ, logarithmic", f"up: {words}, %"))
    for tick in ticks(low, high):
        x, _ = place(math.log(tick), bottom)
        parts.append(text(x, _TOP + _HIGH + 16, f"{tick:g}", 'text-anchor="middle"'))
    for tick in np.linspace(bottom, top, 5):
        _, y = place(across[0], float(tick))
        parts.append(text(_LEFT - 6, y + 4, f"{tick:.1f}", 'text-anchor="end"'))
    parts += _marks(energies[shown], worth[shown], place, f'r="2" fill="{COLOURS[0]}"')
    best = np.array([row["energy_pj"] / 1e3 for row in front])
    right = np.array([100 * (row["oa"] if measured else 1 - row["quantization_error"])
                      for row in front])  # fmt: skip
    parts += _marks(best, right, place, f'r="4" fill="none" stroke="{COLOURS[1]}"')
    parts += _legend(["a design", "on the Pareto front of energy, delay, area and accuracy"])
    write(target, iter([*parts, "</svg>"]))


def draw_sweep(explored: Explored, target: Path) -> None:
    """Draw a curve of one axis, or the regions of two and more."""
    from pim_sim.cli.charts import draw_regions

    if len(explored.points.axes) == 1:
        draw_curve(explored, target)
    else:
        draw_regions(explored, target)


def _places(across: Point, up: Point, logarithmic: bool = True) -> Any:
    """Return the function from a value to its place in the picture."""
    first, last = (math.log(end) for end in up) if logarithmic else up
    wide, high = (across[1] - across[0]) or 1.0, (last - first) or 1.0

    def place(x: float, y: float) -> Point:
        value = math.log(y) if logarithmic else y
        shares = ((x - across[0]) / wide, (value - first) / high)
        right, above = (_EDGE + (1 - 2 * _EDGE) * share for share in shares)
        return round(_LEFT + _WIDE * right, 2), round(_TOP + _HIGH * (1 - above), 2)

    return place


def _frame(title: str, across: str, up: str) -> Iterator[str]:
    yield page(_LEFT + _WIDE + 30, _TOP + _HIGH + _BELOW + 24)
    yield text(_LEFT, 20, title, 'font-size="13"')
    yield (
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDE}" height="{_HIGH}" fill="none" '
        f'stroke="black"/>'
    )
    yield text(_LEFT, _TOP + _HIGH + 34, across)
    yield text(4, _TOP - 8, up)


def _up(low: float, high: float, place: Any) -> list[str]:
    """Return ticks of a logarithmic axis."""
    return [
        text(_LEFT - 6, place(0.0, tick)[1] + 4, f"{tick:g}", 'text-anchor="end"')
        for tick in ticks(low, high)
    ]


def _spread_labels(labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return labels that do not touch: from left to right, each beyond the last."""
    chosen: list[tuple[float, str]] = []
    for x, label in sorted(labels):
        if not chosen or x - chosen[-1][0] > 7 * (len(label) + len(chosen[-1][1])) / 2 + 6:
            chosen.append((x, label))
    return chosen


def _marks(
    across: NDArray[np.float64], up: NDArray[np.float64], place: Any, look: str
) -> list[str]:
    places = [place(math.log(x), y) for x, y in zip(across.tolist(), up.tolist(), strict=True)]
    return [f'<circle cx="{x}" cy="{y}" {look}/>' for x, y in places]


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = float(_LEFT)
    for name, colour in zip(names, COLOURS, strict=False):
        y = _TOP + _HIGH + _BELOW
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        yield text(x + 15, y, name)
        x += 40 + 6.5 * len(name)
