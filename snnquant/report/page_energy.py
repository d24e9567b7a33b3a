"""Parts of the page about energy: by layer, schedule and cost table, and the chip's breakdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snnquant.report.answer import main_network
from snnquant.report.chip_prices import ChipPrices
from snnquant.report.rival_metrics import BEST, SCHEDULES
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.sections import WIDTHS, headings
from snnquant.report.table_parts import ALONE, BLANK, IN_MAP
from snnquant.stored_networks import Network

Parts = dict[str, float]
_USES = {
    **dict.fromkeys(("multiplies", "adds", "registers", "neurons", "activations"), "arithmetic"),
    **dict.fromkeys(("weight_reads", "weight_loading"), "weights"),
    **dict.fromkeys(("arrival", "input_reads", "output_writes", "spilled"), "inputs and outputs"),
    **dict.fromkeys(("partial_sums", "membranes"), "sums and membranes"),
    **{"links": "links", "control": "control", "leakage": "leakage"},
}
"""Uses by the chip's components."""
_ORDER = tuple(dict.fromkeys(_USES.values()))
_LETTER = 4.0
"""Width of a letter in per cent of the longest bar, on the narrowest screens."""


@dataclass(frozen=True)
class _Group:
    """Energies in nJ of networks, each in parts where these are known, under one cost table."""

    title: str
    networks: Mapping[Network, Parts | float]
    folded: bool = True


def energy_parts(metrics: RunMetrics, chip: ChipPrices | None) -> dict[str, Any]:
    """Return groups of bars by layer, the chip's breakdown by use, and its table by component."""
    main, names = main_network(metrics), headings(metrics)
    groups = [*_on_chip(metrics, chip), *_compute_only(metrics)]
    uses = [] if chip is None else list(_by_use(chip))
    return {
        "energies": _bars(groups, names, main),
        "chip_uses": _bars(uses, names, main, _ORDER),
        "components": _components(chip, names),
        "component_networks": [names[name] for name in _priced(chip, names)],
    }


def _on_chip(metrics: RunMetrics, chip: ChipPrices | None) -> Iterator[_Group]:
    """Yield the schedules, the best one first, alone and in a map."""
    rival = metrics.rival
    totals = ({}, {}) if rival is None else (rival.energy_nj, rival.map_energy_nj or {})
    parts = dict(() if chip is None else chip.places())
    for schedule in reversed(SCHEDULES):
        for in_map, place in enumerate((ALONE, IN_MAP)):
            networks: dict[Network, Parts | float] = {}
            for key, energy in totals[in_map].get(schedule, {}).items():
                networks[Network.of(key)] = energy
            for key, layers in parts.get(bool(in_map), {}).get(schedule, {}).items():
                networks[Network.of(key)] = {
                    layer: sum(costs.values()) for layer, costs in layers.items()
                }
            title = f"{SCHEDULES[schedule]}, {place}"
            yield _Group(title, networks, folded=schedule != BEST)


def _compute_only(metrics: RunMetrics) -> Iterator[_Group]:
    """Yield the cost tables in energy, that of true widths first, alone and in a map."""
    places = ((ALONE, metrics.energy_pj), (IN_MAP, metrics.map_energy_pj or {}))
    for table in sorted(metrics.energy_pj, key=lambda name: name != WIDTHS):
        for place, prices in places:
            networks: dict[Network, Parts | float] = {
                Network.of(key): price / 1000 for key, price in prices.get(table, {}).items()
            }
            for key, layers in (metrics.energy_by_layer or {}).items():
                by_table = {
                    row.layer: row.energy_pj if place == ALONE else row.map_energy_pj or {}
                    for row in layers
                }
                found = {name: row[table] / 1000 for name, row in by_table.items() if table in row}
                if found:
                    networks[Network.of(key)] = found
            name = "compute only" if table == WIDTHS else f"compute only by {table}"
            yield _Group(f"{name}, {place}", networks, folded=table != WIDTHS)


def _by_use(chip: ChipPrices) -> Iterator[_Group]:
    for in_map, breakdown in chip.places():
        networks: dict[Network, Parts | float] = {}
        for key, layers in breakdown.get(BEST, {}).items():
            uses = dict.fromkeys(_ORDER, 0.0)
            for component, energy in _summed(layers).items():
                use = _USES.get(component, component)
                uses[use] = uses.get(use, 0.0) + energy
            networks[Network.of(key)] = uses
        yield _Group(IN_MAP if in_map else ALONE, networks)


def _summed(layers: Mapping[str, Mapping[str, float]]) -> Parts:
    found: Parts = {}
    for costs in layers.values():
        for component, energy in costs.items():
            found[component] = found.get(component, 0.0) + energy
    return found


def _bars(
    groups: list[_Group], names: Mapping[Network, str], main: Network, order: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Return groups of bars, logarithmic within a group, their parts by share."""
    found = []
    for group in groups:
        parts = {n: group.networks[n] for n in names if n in group.networks}
        totals = {n: sum(p.values()) if isinstance(p, dict) else p for n, p in parts.items()}
        totals = {name: total for name, total in totals.items() if total > 0}
        if not totals:
            continue
        divided = [p for p in parts.values() if isinstance(p, dict)]
        known = order or tuple(dict.fromkeys(name for part in divided for name in part))
        low, high = (math.log10(end(totals.values())) for end in (min, max))
        bars: list[dict[str, Any]] = []
        for name, total in totals.items():
            width = 30 + 70 * (math.log10(total) - low) / (high - low or 1)
            bars.append(
                {
                    "label": names[name],
                    "own": name == main,
                    "width": f"{width:.1f}",
                    "text": _nanojoules(total),
                    "parts": _shares(parts[name], total, known, width),
                }
            )
        drawn = {part["k"] for bar in bars for part in bar["parts"]}
        legend = [(k, name) for k, name in enumerate(known) if k % 8 in drawn]
        found.append({"title": group.title, "bars": bars, "folded": group.folded, "legend": legend})
    return found


def _shares(
    parts: Parts | float, total: float, known: tuple[str, ...], width: float
) -> list[dict[str, Any]]:
    if not isinstance(parts, dict):
        return []
    return [
        {
            "k": known.index(name) % 8,
            "name": name if energy / total * width >= _LETTER * len(name) else "",
            "share": f"{100 * energy / total:.2f}",
            "title": f"{name}: {_nanojoules(energy)}, {100 * energy / total:.1f} %",
        }
        for name, energy in parts.items()
        if energy > 0
    ]


def _nanojoules(value: float) -> str:
    return f"{value:,.0f} nJ" if value >= 1000 else f"{value:,.3g} nJ"


def _priced(chip: ChipPrices | None, names: Mapping[Network, str]) -> list[Network]:
    return [] if chip is None else [name for name in names if name in chip.alone.get(BEST, {})]


def _components(chip: ChipPrices | None, names: Mapping[Network, str]) -> list[tuple[str, ...]]:
    """Return rows of the component and its energy in nJ by network, the largest first."""
    if chip is None:
        return []
    summed = [_summed(chip.alone[BEST][name]) for name in _priced(chip, names)]
    known = dict.fromkeys(component for parts in summed for component in parts)
    ordered = sorted(known, key=lambda name: -max(parts.get(name, 0.0) for parts in summed))
    return [
        (
            name.replace("_", " "),
            *(f"{parts[name]:,.3g}" if name in parts else BLANK for parts in summed),
        )
        for name in ordered
    ]
