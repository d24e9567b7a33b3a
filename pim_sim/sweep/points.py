"""Every combination of the axes' values, computed together by the same functions as one design."""

from __future__ import annotations

import itertools
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
from pim_sim.results import Cost
from pim_sim.results import Design as Side
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
    "error",
)


@dataclass(frozen=True)
class Sweep:
    """The points of a sweep, one array entry a point."""

    axes: dict[str, NDArray[Any]]
    """Values of each axis."""
    results: dict[str, NDArray[np.float64]]
    """`RESULTS`: both sides' energy and delay, the area in memory, digital over in-memory factors,
    and the estimated relative error of the layer's outputs (`output_error`)."""
    impossible: int
    """Combinations left out because a weight does not fit their columns."""

    def __len__(self) -> int:
        return len(self.results["energy_pj"])

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Axes and results side by side."""
        return {**self.axes, **self.results}


def sweep(
    layer: Layer,
    hardware: Hardware,
    axes: Mapping[str, Sequence[Any]],
    scales: Scales | None = None,
) -> Sweep:
    """``layer`` at every combination of the values of ``axes``, fields by their dotted names.

    Raises `InputError` for a field the hardware does not have, a value that cannot be, or more than
    20 million combinations.
    """
    design = Design(layer, hardware, calibrated() if scales is None else scales)
    if math.prod(len(values) for values in axes.values()) > MOST_POINTS:
        raise InputError(f"--axis: found more than {MOST_POINTS:,} combinations")
    for name, values in axes.items():
        for value in values:
            checked(design, name, value)
    vectors = {name: values for name, values in axes.items() if is_vector(name, values)}
    loops = {name: values for name, values in axes.items() if name not in vectors}
    grid = np.meshgrid(*(np.array(values) for values in vectors.values()), indexing="ij")
    points = {name: axis.ravel() for name, axis in zip(vectors, grid, strict=True)}
    parts = [_part(design, dict(zip(loops, values, strict=True)), points)
             for values in itertools.product(*loops.values())]  # fmt: skip
    return Sweep(
        axes={name: np.concatenate([part.axes[name] for part in parts]) for name in axes},
        results={name: np.concatenate([part.results[name] for part in parts]) for name in RESULTS},
        impossible=sum(part.impossible for part in parts),
    )


def _part(design: Design, fixed: Mapping[str, Any], points: Mapping[str, NDArray[Any]]) -> Sweep:
    """The points that share the values which cannot be computed together."""
    for name, value in fixed.items():
        design = checked(design, name, value)
    count = len(next(iter(points.values()))) if points else 1
    possible = np.broadcast_to(_fits(_over(design, points)), (count,))
    points = {name: values[possible] for name, values in points.items()}
    held = int(possible.sum())
    here = _over(design, points)
    results = _results(here) if held else dict.fromkeys(RESULTS, np.empty(0))
    return Sweep(
        axes={
            **{name: np.full(held, value) for name, value in fixed.items()},
            **points,
        },
        results={name: np.broadcast_to(values, (held,)) for name, values in results.items()},
        impossible=count - held,
    )


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
        "error": output_error(design.layer, design.hardware),
    }
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}


def _total(side: Side) -> Cost:
    return side.total


def output_error(layer: Layer, hardware: Hardware) -> Any:
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
