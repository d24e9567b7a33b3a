"""The trained SNN against its twin: energies on a chip, and published thresholds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

BEST = "best"
SCHEDULES = {
    "events": "A, events",
    "time_inner": "B, time inner",
    "dense": "C, dense",
    BEST: "best of all, per layer",
}
"""Schedules by their keys in metrics.json, with their names in the tables."""


@dataclass(frozen=True)
class RivalRatio:
    """Energy of the trained SNN over that of its twin; below 1 the SNN takes less."""

    twin_best: float
    """The SNN under the schedule over the twin under the one that suits it best: the strict one."""
    same: float
    """Both under the schedule."""


@dataclass(frozen=True)
class Threshold:
    """A published condition under which an SNN takes less energy than a CNN, and this SNN."""

    source: str
    """Publication."""
    condition: str
    """Condition in words."""
    figure: str
    """Figure that is compared: accumulates_per_mac, spike_rate or spike_bits."""
    value: float
    """Figure of this SNN."""
    limit: float
    """Limit: as published, or computed from this SNN and its twin."""
    passed: bool
    """True where the value is at most the limit."""


@dataclass(frozen=True)
class Rival:
    """The trained SNN against its twin, a CNN of the same weights with ceil(log2(T + 1)) bits."""

    chip: str
    """Name or file of the chip."""
    twin_oa: float
    """Overall accuracy of the twin, 0 to 1."""
    snn_oa: float
    """Overall accuracy of the trained SNN, 0 to 1."""
    zeros: float
    """Share of the twin's products after the first layer whose activation is 0, 0 to 1."""
    accumulates_per_mac: float
    """The SNN's accumulates over all T per MAC of the dense layers after the first."""
    spike_rate: float
    """Spikes per neuron per step, a mean over the neurons of all layers."""
    energy_nj: dict[str, dict[str, float]]
    """Energy on the chip, memory included, in nJ per pixel classified on its own."""
    ratio: dict[str, RivalRatio]
    """SNN over twin on the chip, by schedule."""
    compute_ratio: float
    """SNN over twin, compute only, by horowitz_widths."""
    thresholds: tuple[Threshold, ...]
    """Published conditions; the layer that receives pixels takes no part in their figures."""
    map_energy_nj: dict[str, dict[str, float]] | None = None
    """Energy on the chip in nJ per pixel of a map, where windows share work."""
    map_ratio: dict[str, RivalRatio] | None = None
    """SNN over twin per pixel of a map, by schedule."""
    map_compute_ratio: float | None = None
    """SNN over twin per pixel of a map, compute only."""


def ratios(snn: Mapping[str, float], twin: Mapping[str, float]) -> dict[str, RivalRatio]:
    """Return the ratios of energies by schedule.

    Args:
        snn: Energy of the SNN by schedule.
        twin: Energy of the twin by schedule.

    >>> ratios({"events": 6.0, "dense": 8.0}, {"events": 3.0, "dense": 4.0})["dense"]
    RivalRatio(twin_best=2.6666666666666665, same=2.0)
    """
    least = min(twin.values())
    return {key: RivalRatio(spent / least, spent / twin[key]) for key, spent in snn.items()}


def thresholds(figures: Mapping[str, float], time_steps: int) -> tuple[Threshold, ...]:
    """Return the published thresholds that hold for a number of time steps, with the verdicts.

    Args:
        figures: Figures of the SNN and its twin, by the names in references/thresholds.toml.
        time_steps: Time steps T of the SNN.

    >>> figures = {"accumulates_per_mac": 0.5, "compute_limit": 0.4, "spike_rate": 0.1}
    >>> figures |= {"spike_bits": 30.0, "activation_bits": 18.0}
    >>> [row.passed for row in thresholds(figures, time_steps=5)]
    [False, False, False, True, True, False]
    """
    found = []
    for row in _reference()["threshold"]:
        if row.get("time_steps", time_steps) != time_steps:
            continue
        limit = figures[row["limit"]] if isinstance(row["limit"], str) else row["limit"]
        value = figures[row["figure"]]
        words = row["source"], row["condition"], row["figure"]
        found.append(Threshold(*words, value, float(limit), value <= limit))
    return tuple(found)


def definition(figure: str) -> str:
    """Return a figure of the thresholds in words.

    >>> definition("spike_rate")
    'spikes per neuron per step, a mean over neurons'
    """
    words: str = _reference()["figures"][figure]
    return words


def _reference() -> dict[str, Any]:
    file = resources.files("snnquant.report").joinpath("references", "thresholds.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))
