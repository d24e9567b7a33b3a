"""80 % intervals of some designs of a sweep; all of them would take as long as the sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pim_sim.cost_model import Setup, both_sides, interval
from pim_sim.hardware import Hardware
from pim_sim.sweep.axes import checked, is_vector
from pim_sim.sweep.points import over
from pim_sim.workload import Layer


def with_intervals(
    layer: Layer,
    hardware: Hardware,
    axes: Mapping[str, Sequence[Any]],
    rows: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the rows, each with the 80 % intervals of its energy and of its energy factor."""
    vectors = [name for name, values in axes.items() if is_vector(name, values)]
    slow = [name for name in axes if name not in vectors]
    together: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        together.setdefault(tuple(row[name] for name in slow), []).append(place)
    found = [dict(row) for row in rows]
    for values, places in together.items():
        setup = Setup(layer, hardware)
        for name, value in zip(slow, values, strict=True):
            setup = checked(setup, name, value)
        setup = over(setup, {n: np.array([rows[place][n] for place in places]) for n in vectors})
        digital, in_memory = both_sides(setup)
        for name, bounds in (
            ("energy_pj_interval", interval(in_memory)),
            ("energy_factor_interval", interval(digital, in_memory)),
        ):
            low, high = (np.broadcast_to(bound, (len(places),)) for bound in bounds)
            for i, place in enumerate(places):
                found[place][name] = [float(low[i]), float(high[i])]
    return found
