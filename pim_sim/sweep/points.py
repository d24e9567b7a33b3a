"""Every combination of the axes' values, computed together by the same functions as one design."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_sim.errors import InputError
from pim_sim.hardware import Hardware
from pim_sim.macro import Scales
from pim_sim.macro.calibration import calibrated
from pim_sim.macro.pricing import columns_needed
from pim_sim.model import both_sides
from pim_sim.numeric import ceil_div
from pim_sim.results import Cost
from pim_sim.results import Design as Side
from pim_sim.sweep.accuracy import MeasuredAccuracy
from pim_sim.sweep.axes import Design, checked, is_vector, with_array
from pim_sim.workload import Layer

MOST_POINTS = 20_000_000

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
"""Of every sweep; one with a file of measured accuracy has `oa` too."""


@dataclass(frozen=True)
class Sweep:
    """The points of a sweep, one array entry a point."""

    axes: dict[str, NDArray[Any]]
    """Values of each axis."""
    results: dict[str, NDArray[np.float64]]
    """`RESULTS`: both sides' energy and delay, the area in memory, digital over in-memory factors,
    and the estimated relative error of the layer's outputs (`quantization_error`); and ``oa``, the
    measured overall accuracy, 0 to 1, where a file of it was given."""
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

    design: Design
    axes: dict[str, list[Any]]
    accuracy: MeasuredAccuracy | None = None

    @classmethod
    def of(
        cls,
        layer: Layer,
        hardware: Hardware,
        axes: Mapping[str, Sequence[Any]],
        scales: Scales | None = None,
        accuracy: MeasuredAccuracy | None = None,
    ) -> Grid:
        """``layer`` over the values of ``axes``, fields by their dotted names.

        Raises `InputError` for a field the hardware does not have or a value that cannot be.
        """
        design = Design(layer, hardware, calibrated() if scales is None else scales)
        for name, values in axes.items():
            for value in values:
                checked(design, name, value)
        return cls(design, {name: list(values) for name, values in axes.items()}, accuracy)

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    def points(self, start: int, stop: int) -> Sweep:
        """The combinations from ``start`` up to ``stop``, computed together as far as they can."""
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
        """Some of the points that share the values which cannot be computed together."""
        design, count = self.design, len(within)
        fast = [name for name in self.axes if name not in slow]
        places = dict(zip(slow, self._places(slow, np.array(block)), strict=True))
        for name, place in places.items():
            design = checked(design, name, self.axes[name][int(place)])
        places |= zip(fast, self._places(fast, np.arange(within.start, within.stop)), strict=True)
        points = {name: np.array(self.axes[name])[places[name]] for name in self.axes}
        possible = np.broadcast_to(_fits(_over(design, {n: points[n] for n in fast})), (count,))
        points = {name: np.broadcast_to(v, (count,))[possible] for name, v in points.items()}
        held = int(possible.sum())
        results = dict.fromkeys(self._names, np.empty(0))
        if held:
            here = _over(design, {name: points[name] for name in fast})
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
        """Where each of these axes stands at a place in the grid of them alone."""
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
    """``layer`` at every combination of the values of ``axes``, in memory and on one core.

    Raises `InputError` as `Grid.of` and `MeasuredAccuracy.oa`, and for more than 20 million
    combinations, which `pim_sim.sweep.large` takes.
    """
    grid = Grid.of(layer, hardware, axes, scales, accuracy)
    if len(grid) > MOST_POINTS:
        raise InputError(
            f"--axis: found {len(grid):,} combinations, expected at most {MOST_POINTS:,}, or "
            "--parquet FOLDER for a sweep that need not fit into memory"
        )
    return grid.points(0, len(grid))


def _over(design: Design, points: Mapping[str, NDArray[Any]]) -> Design:
    for name, values in points.items():
        # counts as floats: exact up to 2^53, and beyond it they lose digits where integers wrap
        design = with_array(design, name, values.astype(np.float64))
    return design


def _fits(design: Design) -> Any:
    """Where the columns hold at least one weight."""
    hardware, bits = design.hardware, design.layer.weight_bits
    if hardware.macro is not None:
        return columns_needed(hardware.macro, bits) <= hardware.macro.array.columns
    assert hardware.array is not None
    array = hardware.array
    columns = -(-bits // array.weight_bits_per_column)
    return (columns <= array.columns) & (array.rows >= array.weight_bits_per_column)


def _results(design: Design) -> dict[str, NDArray[np.float64]]:
    digital, in_memory = both_sides(design.layer, design.hardware, design.scales)
    first, second = _total(digital), _total(in_memory)
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
        "quantization_error": quantization_error(design.layer, design.hardware),
    }
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}


def _total(side: Side) -> Cost:
    return side.total


def quantization_error(layer: Layer, hardware: Hardware) -> Any:
    """Estimated rms error of the layer's outputs over their rms, from quantization alone.

    Uniform steps over a range of +-k standard deviations leave an error of k 2^-bits / sqrt(3) of
    the value's rms: k = sqrt(3) for weights that fill their range, so 2^-bits; k = 3.64 for sums
    over a calibrated range, which gives 13.1, 6.6, 3.3, 1.6 and 0.8 % at 4 to 8 bits of the
    converter. A sum of fewer levels than the converter has is exact. Noise, mismatch and inputs are
    left out: `pim_sim.analog` computes with them.
    """
    weights = 2.0**-layer.weight_bits
    bits = hardware.adc_bits
    if hardware.macro is not None and hardware.macro.converter is None:
        return weights
    conversion = 3.64 / math.sqrt(3) * 2.0**-bits
    return np.hypot(weights, np.where(_levels(layer, hardware) < 2.0**bits, 0.0, conversion))


def _levels(layer: Layer, hardware: Hardware) -> Any:
    """Largest value of one analog sum, in steps of the smallest product."""
    macro = hardware.macro
    if macro is None:
        assert hardware.array is not None
        summed = np.minimum(layer.fan_in, hardware.array.columns)
        return summed * 2.0 ** (layer.weight_bits + layer.input_bits)
    summed = np.minimum(layer.fan_in, macro.array.rows)
    inputs = np.minimum(
        macro.input.bits_per_step * macro.input.steps_per_conversion, layer.input_bits
    )
    weights = macro.array.columns_merged * macro.array.bits_per_cell
    return summed * (2.0**inputs - 1) * (2.0 ** np.minimum(weights, layer.weight_bits) - 1)
