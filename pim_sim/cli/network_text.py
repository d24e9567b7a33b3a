"""Prices of whole networks as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pim_sim.hardware import Chip

_HEADINGS = {
    "none": "digital",
    "first": "first layer in memory",
    "all": "all layers in memory",
}


def summarise_networks(
    chip: Chip,
    schedule: str,
    networks: Mapping[str, Mapping[str, Any]],
    ratios: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return totals, ratios, other schedules and placements, layers and mappings."""
    how = "best mappings" if schedule == "best" else f"schedule {schedule}"
    lines = [
        f"Networks on {chip.name} ({chip.node_nm:g} nm, {chip.supply_v:g} V), {how}",
        *_totals(networks),
    ]
    for name, ratio in ratios.items():
        words = [
            f"{quantity} {ratio[quantity]:.3g} ({low:.3g} to {high:.3g})"
            for quantity, (low, high) in ratio["interval"].items()
        ]
        lines.append(f"{name.replace('_over_', ' / ')}: {', '.join(words)}")
    for name, network in networks.items():
        lines += ["", *_schedules(name, network), *_placements(name, network)]
        lines += ["", *_layers(name, network)]
    return "\n".join(lines)


def _totals(networks: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    yield (
        f"{'per pixel':16}{'energy, nJ':>12}{'80 % interval':>22}{'latency, us':>13}"
        f"{'EDP, nJ us':>12}{'pixels/s':>11}{'area, mm2':>11}"
    )
    for name, network in networks.items():
        low, high = (bound / 1e3 for bound in network["interval"]["energy_pj"])
        yield (
            f"{name:16}{network['energy_pj'] / 1e3:12,.4g}{f'{low:,.3g} to {high:,.3g}':>22}"
            f"{network['latency_ns'] / 1e3:13,.4g}{network['edp'] / 1e6:12,.4g}"
            f"{network['throughput_per_s']:11,.0f}{network['area_mm2']:11,.3g}"
        )


def _schedules(name: str, network: Mapping[str, Any]) -> Iterable[str]:
    for schedule, row in network["schedules"].items():
        yield (
            f"{f'{name}, schedule {schedule}':46}{row['energy_pj'] / 1e3:10,.4g} nJ"
            f"{row['latency_ns'] / 1e3:10,.4g} us"
        )


def _placements(name: str, network: Mapping[str, Any]) -> Iterable[str]:
    rows = {_HEADINGS[place]: row for place, row in network["alternatives"].items()}
    if equal := network.get("digital_of_equal"):
        rows[f"digital, {equal['times_wider']} x wider, equal {equal['equal']}"] = equal
    digital = network["alternatives"]["none"]["energy_pj"]
    for heading, row in rows.items():
        yield (
            f"{name + ', ' + heading:46}{row['energy_pj'] / 1e3:10,.4g} nJ"
            f"{row['latency_ns'] / 1e3:10,.4g} us{row['area_mm2']:8,.3g} mm2"
            f"{1 - row['energy_pj'] / digital:8.1%} saved"
        )


def _layers(name: str, network: Mapping[str, Any]) -> Iterable[str]:
    total = network["energy_pj"]
    yield f"{name + ', by layer':24}{'energy, nJ':>12}{'share':>8}  largest components; mapping"
    for layer, costs in network["breakdown"].items():
        energy = sum(cost["energy_pj"] for cost in costs.values())
        largest = sorted(costs, key=lambda part: -costs[part]["energy_pj"])[:2]
        parts = ", ".join(
            f"{part.replace('_', ' ')} {costs[part]['energy_pj'] / energy:.0%}" for part in largest
        )
        mapping = network["mapping"][layer]
        words = f"{mapping['place']}: {mapping['words']}"
        yield f"{layer:24}{energy / 1e3:12,.4g}{energy / total:8.1%}  {parts}; {words}"
