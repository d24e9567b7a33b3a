"""Where the energy and the time of a layer go, digital and in memory, as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from pim_sim.atomic import replacing
from pim_sim.results import Report

_LEFT, _TOP, _BAR, _THICK, _GAP = 84, 64, 460, 26, 10
_COLOURS = (
    "#1b6ca8", "#c8553d", "#3c8c4a", "#a67c00", "#7b4fa3", "#4aa3a2", "#8a8a8a", "#d98cb3",
    "#5a4632", "#9bc53d", "#2f4b7c", "#f2a65a", "#000000", "#b0b0ff",
)  # fmt: skip
_LEAST_NAMED = 0.06
"""Share of a bar that a component's percentage is written into."""


def draw_breakdown(report: Report, target: Path) -> None:
    """Write an SVG of four bars: energy and delay of either side, by component.

    The longer bar of a pair is the full width. Raises `InputError` for a file that cannot be
    written.
    """
    designs = {"digital": report.digital, "in memory": report.in_memory}
    names = dict.fromkeys(name for design in designs.values() for name in design.components)
    colours = dict(zip(names, _COLOURS * (1 + len(names) // len(_COLOURS)), strict=False))
    parts = [_title(report)]
    top = _TOP
    for unit, scale, which in (("nJ", 1e-3, "energy_pj"), ("us", 1e-3, "delay_ns")):
        costs = {
            side: {name: getattr(cost, which) * scale for name, cost in design.components.items()}
            for side, design in designs.items()
        }
        most = max(sum(cost.values()) for cost in costs.values())
        for side, cost in costs.items():
            parts += _bar(side, cost, most, unit, colours, top)
            top += _THICK + _GAP
        top += _GAP
    parts += _legend(colours, top)
    height = top + 16 * -(-len(colours) // 4) + 8
    with replacing(target) as file:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _BAR + 90} {height}" '
            'font-family="sans-serif" font-size="11">\n'
            f'<rect width="{_LEFT + _BAR + 90}" height="{height}" fill="white"/>\n'
        )
        file.write(head + "\n".join(parts) + "\n</svg>\n")


def _title(report: Report) -> str:
    shape, versus = "x".join(map(str, report.layer.weight_shape)), report.comparison
    low, high = report.interval.energy
    return (
        f'<text x="8" y="20" font-size="13">{escape(report.layer.name)} ({shape}) on '
        f"{escape(report.hardware)}</text>\n"
        f'<text x="8" y="40">digital / in memory: energy {versus.energy.factor:.2f} '
        f"(80 % interval {low:.2f} to {high:.2f}), delay {versus.delay.factor:.2f}, "
        f"EDP {versus.edp.factor:.2f}</text>"
    )


def _bar(
    side: str, costs: dict[str, float], most: float, unit: str, colours: dict[str, str], top: float
) -> Iterator[str]:
    total, left = sum(costs.values()), float(_LEFT)
    middle = top + _THICK / 2 + 4
    yield f'<text x="{_LEFT - 6}" y="{middle}" text-anchor="end">{side}</text>'
    for name, cost in costs.items():
        width = _BAR * cost / most
        yield (
            f'<rect x="{left:.2f}" y="{top}" width="{width:.2f}" height="{_THICK}" '
            f'fill="{colours[name]}"><title>{_words(name)}: {cost:.4g} {unit}</title></rect>'
        )
        if width > _LEAST_NAMED * _BAR:
            yield (
                f'<text x="{left + width / 2:.2f}" y="{middle}" fill="white" '
                f'text-anchor="middle">{cost / total:.0%}</text>'
            )
        left += width
    yield f'<text x="{left + 6:.2f}" y="{middle}">{total:.4g} {unit}</text>'


def _legend(colours: dict[str, str], top: float) -> Iterator[str]:
    for i, (name, colour) in enumerate(colours.items()):
        x, y = 8 + 152 * (i % 4), top + 16 * (i // 4)
        yield f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 15}" y="{y + 9}">{_words(name)}</text>'


def _words(name: str) -> str:
    return escape(name.replace("_", " "))
