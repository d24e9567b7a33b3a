"""Every combination of the axes' values, computed together by the same functions as one design."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_sim.cost_model import Scales, Setup, both_sides, calibrated
from pim_sim.errors import InputError
from pim_sim.hardware import Hardware
from pim_sim.sweep.axes import checked, is_vector, with_array
from pim_sim.sweep.claims import DEFAULT_CLAIM, Claim, parse_claim
from pim_sim.sweep.measured_accuracy import MeasuredAccuracy
from pim_sim.workload import Layer, ceil_div

MAX_POINTS = 20_000_000

RESULTS = (
    "digital_energy_pj",
    "digital_delay_ns",
    "energy_pj",
    "delay_ns",
    "area_mm2",
    "energy_factor",
    "delay_factor",
    "edp_factor",
    "quantization_error",
)
"""Columns of every sweep; with a file of measured accuracy `oa` follows."""


@dataclass(frozen=True)
class Sweep:
    """The points of a sweep, one array entry per point."""

    axes: dict[str, NDArray[Any]]
    """Values of each axis."""
    results: dict[str, NDArray[np.float64]]
    """`RESULTS`: both sides' energy and delay, the area in memory, digital over in-memory factors,
    and the estimated relative error of the layer's outputs (`quantization_error`); and ``oa``, the
    measured overall accuracy, 0 to 1, where a file of it is given."""
    impossible: int
    """Combinations left out because a weight does not fit their columns."""

    def __len__(self) -> int:
        return len(self.results["energy_pj"])

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Axes and results side by side."""
        return {**self.axes, **self.results}


@dataclass(frozen=True)
class Grid:
    """Every combination of the axes' values around one design, in a fixed order.

    The axes that cannot be computed together (words, node, supply) vary slowest, then the others,
    each kind in the order given and the last of it fastest.
    """

    setup: Setup
    axes: dict[str, list[Any]]
    accuracy: MeasuredAccuracy | None
    claims: tuple[Claim, ...]
    """Readings of the claim that designs are searched for."""

    @classmethod
    def of(
        cls,
        layer: Layer,
        hardware: Hardware,
        axes: Mapping[str, Sequence[Any]],
        scales: Scales | None = None,
        accuracy: MeasuredAccuracy | None = None,
        claims: Sequence[Claim] | None = None,
    ) -> Grid:
        """Build the grid of ``layer`` over the values of ``axes``, fields by their dotted names.

        Raises `InputError` for a field that the hardware lacks or an impossible value.
        """
        setup = Setup(layer, hardware, calibrated() if scales is None else scales)
        for name, values in axes.items():
            for value in values:
                checked(setup, name, value)
        searched = parse_claim(DEFAULT_CLAIM) if claims is None else tuple(claims)
        return cls(setup, {name: list(v) for name, v in axes.items()}, accuracy, searched)

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    def points(self, start: int, stop: int) -> Sweep:
        """Compute the combinations from ``start`` up to ``stop``, together as far as possible."""
        vectors = {name for name, values in self.axes.items() if is_vector(name, values)}
        slow = [name for name in self.axes if name not in vectors]
        together = math.prod(len(self.axes[name]) for name in vectors)
        parts = []
        for block in range(start // together, ceil_div(stop, together)):
            first = block * together
            within = range(max(start - first, 0), min(stop - first, together))
            parts.append(self._together(slow, block, within))
        return Sweep(
            axes={name: np.concatenate([p.axes[name] for p in parts]) for name in self.axes},
            results={
                name: np.concatenate([p.results[name] for p in parts]) for name in self._names
            },
            impossible=sum(part.impossible for part in parts),
        )

    def _together(self, slow: Sequence[str], block: int, within: range) -> Sweep:
        """Compute some of the points that share all values of the slow axes."""
        setup, count = self.setup, len(within)
        fast = [name for name in self.axes if name not in slow]
        places = dict(zip(slow, self._places(slow, np.array(block)), strict=True))
        for name, place in places.items():
            setup = checked(setup, name, self.axes[name][int(place)])
        places |= zip(fast, self._places(fast, np.arange(within.start, within.stop)), strict=True)
        points = {name: np.array(self.axes[name])[places[name]] for name in self.axes}
        here = over(setup, {name: points[name] for name in fast})
        possible = np.broadcast_to(here.hardware.engine.holds(here.layer.weight_bits), (count,))
        points = {name: np.broadcast_to(v, (count,))[possible] for name, v in points.items()}
        held = int(possible.sum())
        results = dict.fromkeys(self._names, np.empty(0))
        if held:
            here = over(setup, {name: points[name] for name in fast})
            results = _results(here)
            if self.accuracy is not None:
                results["oa"] = self.accuracy.oa(here.layer, here.hardware)
        return Sweep(
            axes=points,
            results={name: np.broadcast_to(values, (held,)) for name, values in results.items()},
            impossible=count - held,
        )

    @property
    def _names(self) -> tuple[str, ...]:
        return RESULTS if self.accuracy is None else (*RESULTS, "oa")

    def _places(self, names: Sequence[str], flat: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Return the place of each of these axes at a place in the grid of them only."""
        places: list[NDArray[np.intp]] = []
        for name in reversed(names):
            flat, place = np.divmod(flat, len(self.axes[name]))
            places.append(place)
        return places[::-1]


def sweep(
    layer: Layer,
    hardware: Hardware,
    axes: Mapping[str, Sequence[Any]],
    scales: Scales | None = None,
    accuracy: MeasuredAccuracy | None = None,
) -> Sweep:
    """Compute ``layer`` at every combination of the values of ``axes``, on one core.

    Raises `InputError` as `Grid.of` and `MeasuredAccuracy.oa`, and for more than 20 million
    combinations, which `pim_sim.sweep.on_dask` takes.
    """
    grid = Grid.of(layer, hardware, axes, scales, accuracy)
    if len(grid) > MAX_POINTS:
        raise InputError(
            f"--axis: found {len(grid):,} combinations, expected at most {MAX_POINTS:,}, or "
            "--parquet FOLDER for a sweep that need not fit into memory"
        )
    return grid.points(0, len(grid))


def over(setup: Setup, points: Mapping[str, NDArray[Any]]) -> Setup:
    """Return the setup with an array of values for every field of these points."""
    for name, values in points.items():
        # counts as floats: exact up to 2^53, and beyond it they lose digits where integers wrap
        setup = with_array(setup, name, values.astype(np.float64))
    return setup


def _results(setup: Setup) -> dict[str, NDArray[np.float64]]:
    digital, in_memory = both_sides(setup)
    first, second = digital.total, in_memory.total
    energy = first.energy_pj / second.energy_pj
    delay = first.delay_ns / second.delay_ns
    values = {
        "digital_energy_pj": first.energy_pj,
        "digital_delay_ns": first.delay_ns,
        "energy_pj": second.energy_pj,
        "delay_ns": second.delay_ns,
        "area_mm2": in_memory.area_mm2,
        "energy_factor": energy,
        "delay_factor": delay,
        "edp_factor": energy * delay,
        "quantization_error": quantization_error(setup.layer, setup.hardware),
    }
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}


def quantization_error(layer: Layer, hardware: Hardware) -> Any:
    """Estimate the rms error of the layer's outputs over their rms, from quantization only.

    Uniform steps over a range of +-k standard deviations leave an error of k 2^-bits / sqrt(3) of
    the value's rms: k = sqrt(3) for weights that fill their range, so 2^-bits; k = 3.64 for sums
    over a calibrated range, which gives 13.1, 6.6, 3.3, 1.6 and 0.8 % at 4 to 8 bits of the
    converter. A sum of fewer levels than the converter has is exact. Noise, mismatch and inputs are
    left out; `pim_sim.analog` models them.
    """
    weights, engine = 2.0**-layer.weight_bits, hardware.engine
    if not engine.converts:
        return weights
    conversion = 3.64 / math.sqrt(3) * 2.0**-engine.adc_bits
    exact = engine.largest_sum(layer) < 2.0**engine.adc_bits
    return np.hypot(weights, np.where(exact, 0.0, conversion))
