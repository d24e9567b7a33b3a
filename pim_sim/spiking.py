"""What one step of a spiking layer does, counted from the spikes that came in.

A spike is added into every output whose window holds it. "Dense products times spike rate" counts
products with padding and, where spikes gather at the edge of a small patch, adds that no window
asks for; "spikes times fan-out" counts adds of windows that would hang over the edge. So the mask
of spikes is convolved with ones: the exact number of spikes in every window, times the filters.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pim_sim.checks import refuse
from pim_sim.digital import sum_bits
from pim_sim.hardware import Hardware
from pim_sim.numeric import ceil_div
from pim_sim.workload import Layer


@dataclass(frozen=True, kw_only=True)
class SpikingCounts:
    """Operations of a layer and the neurons behind it, in one classification."""

    accumulates: int
    """Weights added into membrane sums: one for each spike, window that holds it and filter."""
    by_rate: float
    """The usual estimate beside it: dense products times the mean spike rate."""
    by_fan_out: int
    """Another: spikes times the outputs a spike in the middle reaches."""
    neuron_updates: int
    """Membranes leaked and added to: one a neuron and step."""
    comparisons: int
    """Membranes compared with the threshold: one a neuron and step."""
    membrane_reads: int
    membrane_writes: int
    weight_reads: int
    """Weights read: the filters' weights of each kernel place that some spike met, a step."""


@dataclass(frozen=True, kw_only=True)
class SpikingEnergy:
    """Energy of the counts in pJ, by part."""

    accumulates_pj: float
    updates_pj: float
    """Leak (a multiplication) and addition of the sum, for every neuron and step."""
    comparisons_pj: float
    membrane_traffic_pj: float
    weight_reads_pj: float
    paper_pj: float
    """ACE-SNN's accounting beside it: accumulates by rate alone, at the energy of an addition."""
    rate_form_pj: float
    """Our parts with the accumulates by rate."""

    @property
    def total_pj(self) -> float:
        """The sum of our own parts, with exact accumulates."""
        parts = (self.accumulates_pj, self.updates_pj, self.comparisons_pj)
        return sum(parts) + self.membrane_traffic_pj + self.weight_reads_pj

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return {**asdict(self), "total_pj": self.total_pj}


def count_spikes(layer: Layer, spikes: NDArray[Any]) -> SpikingCounts:
    """Count from ``spikes``, true where a spike came in: [T, *input_shape] of ``layer``.

    Raises `InputError` for another shape.
    """
    mask = np.asarray(spikes) != 0
    if mask.shape[1:] != layer.input_shape or mask.ndim != len(layer.input_shape) + 1:
        expected = f"(steps, {', '.join(map(str, layer.input_shape))}) as the layer's input"
        raise refuse("spikes", mask.shape, expected)
    steps = len(mask)
    windows = _windows(layer, mask)
    neurons = layer.outputs * steps
    return SpikingCounts(
        accumulates=int(windows.sum()) * layer.filters,
        by_rate=float(mask.mean()) * layer.macs * steps,
        by_fan_out=int(mask.sum()) * _fan_out(layer),
        neuron_updates=neurons,
        comparisons=neurons,
        membrane_reads=neurons,
        membrane_writes=neurons,
        weight_reads=int(windows.any(axis=_places(layer, windows)).sum()) * layer.filters,
    )


def price_spikes(layer: Layer, counts: SpikingCounts, hardware: Hardware) -> SpikingEnergy:
    """Energy of the counts on the digital part of ``hardware``.

    Additions and comparisons go by their bits, a leak is a multiplication of the membrane by as
    many bits as a weight has; membranes of a sum's bits are read and written in memory words.
    """
    digital, memory = hardware.digital, hardware.memory
    bits = sum_bits(layer)
    add = digital.add_energy_pj * (bits / digital.operand_bits if digital.scaled else 1)
    scale = bits * layer.weight_bits / digital.operand_bits**2 if digital.scaled else 1
    traffic = _words(counts.membrane_reads * bits, hardware) + _words(
        counts.membrane_writes * bits, hardware
    )
    updates = counts.neuron_updates * (add + digital.multiply_energy_pj * scale)
    weight_reads = _words(counts.weight_reads * layer.weight_bits, hardware)
    comparisons = counts.comparisons * add
    rest = updates + comparisons + (traffic + weight_reads) * memory.read_energy_pj
    return SpikingEnergy(
        accumulates_pj=counts.accumulates * add,
        updates_pj=updates,
        comparisons_pj=comparisons,
        membrane_traffic_pj=traffic * memory.read_energy_pj,
        weight_reads_pj=weight_reads * memory.read_energy_pj,
        paper_pj=counts.by_rate * add,
        rate_form_pj=counts.by_rate * add + rest,
    )


def _windows(layer: Layer, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The windows of a step: [T, C, *positions, *kernel]; a linear layer has one, of all inputs."""
    if layer.kind == "linear":
        return mask
    pad = [(0, 0), (0, 0), *((p, p) for p in layer.padding)]
    axes = tuple(range(2, mask.ndim))
    # numpy's stubs leave out that several axes may be given
    windows = sliding_window_view(np.pad(mask, pad), layer.weight_shape[2:], axis=axes)  # type: ignore[call-overload]
    strides = (slice(None), slice(None), *(slice(None, None, step) for step in layer.stride))
    taken: NDArray[np.bool_] = windows[strides]
    return taken


def _places(layer: Layer, windows: NDArray[np.bool_]) -> tuple[int, ...]:
    """Axes of the positions: what is left are steps, channels and kernel places."""
    return tuple(range(2, 2 + len(layer.stride))) if windows.ndim > 2 else ()


def _fan_out(layer: Layer) -> int:
    """Outputs that a spike in the middle of a large input reaches."""
    kernels = zip(layer.weight_shape[2:], layer.stride, strict=True)
    return layer.filters * math.prod(ceil_div(kernel, step) for kernel, step in kernels)


def _words(bits: int, hardware: Hardware) -> int:
    return ceil_div(bits, hardware.memory.word_bits)
