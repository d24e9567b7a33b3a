"""Operations per classified pixel, counted by hooks while the network classifies pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from snnquant.energy.elementwise import Elementwise, Tracker
from snnquant.energy.operand_widths import FLOAT32, Counts, Operation, Width, synaptic
from snnquant.nn import LayerInfo, layer_table
from snnquant.nn.hooks import evaluating, recording
from snnquant.sampling import Patches
from snnquant.spiking import Neuron, SpikingNetwork, spiking_layers
from snnquant.training import predict

CONVOLVE: dict[str, Callable[..., Tensor]] = {
    "conv3d": nn.Conv3d._conv_forward,
    "conv2d": nn.Conv2d._conv_forward,
    "conv1d": nn.Conv1d._conv_forward,
}
"""Convolutions with other weights and the module's own padding, whatever its mode."""
Accumulates: TypeAlias = Literal["exact", "rate"]
"""Count of the accumulates: "exact", or "rate", spikes per input times dense MACs."""


@dataclass(frozen=True)
class LayerActivity:
    """A synaptic layer and its operations: means over the classified pixels."""

    info: LayerInfo
    """Name, kind and shapes of the layer."""
    spiking: bool
    """True for inputs that are spikes."""
    input_density: float
    """Share of its inputs that are not 0 in a step, 0 to 1."""
    mac: float
    """Multiply-accumulates per pixel, of analog inputs: once, or at every step if `changing`."""
    ac: float
    """Accumulates per pixel, of spikes: counted one by one and summed over all time steps."""
    ac_by_rate: float
    """Estimate of `ac`: spikes per input over all time steps times the dense MACs."""
    changing: bool = False
    """True for analog inputs that are made of spikes and so differ from step to step."""
    bits: int | None = None
    """Bits per weight; None for 32-bit floating point."""
    input: Width = FLOAT32
    """Width of its inputs."""
    sums: int = 1
    """Time steps that one sum of its products runs over."""
    distances: int = 0
    """Exponents in use of weights that are powers of two; 0 for other weights."""
    terms: float = 1.0
    """Numbers that a weight is the sum of, a mean over the output channels; less than 1 where
    weights were removed."""
    input_mean: float | None = None
    """Mean magnitude of analog inputs that are not 0, over the largest; None of spikes."""
    active_share: float | None = None
    """Share of its inputs that are not 0 in at least one step, 0 to 1; None where not counted."""
    fetched: float | None = None
    """Products per pixel whose input is not 0 in at least one step; None where not counted."""
    elementwise: tuple[Elementwise, ...] = ()
    """Work on single values from this layer to the next one with weights."""

    @property
    def synaptic(self) -> Operation:
        """Operation of one weight, or term of one, and one input."""
        products = math.prod(self.info.weight_shape[1:]) * self.sums
        return synaptic(
            self.bits, self.input, products, spikes=self.spiking, distances=self.distances
        )

    def operations(self, accumulates: Accumulates = "exact") -> Counts:
        """Return the operations per pixel by kind and widths.

        Args:
            accumulates: Count of the accumulates.

        >>> info = LayerInfo("dense", "linear", (4,), (2, 4), (2,), (), (), 8)
        >>> layer = LayerActivity(info, False, 1.0, 8.0, 0.0, 0.0, bits=6, input=Width(8))
        >>> layer.operations()
        {Operation(kind='mac', i=6, j=8, total=16, floating=False): 8.0}
        """
        number = self.ac if accumulates == "exact" else self.ac_by_rate
        number = self.terms * (number if self.spiking else self.mac)
        counts: dict[Operation, float] = {self.synaptic: number}
        for work in self.elementwise:
            for operation, times in work.counts.items():
                counts[operation] = counts.get(operation, 0) + times
        return counts


@dataclass(frozen=True, eq=False)
class Observation:
    """A network's answers for N pixels and the work that they took, from one pass."""

    logits: Tensor
    """Logits [N, K], on the CPU."""
    layers: list[LayerActivity]
    """Convolutions and dense layers in the order in which they run."""
    spike_rates: dict[str, float]
    """Spikes per neuron per step of every LIF layer; empty for a CNN."""


class _Recorder:
    """Sums over all batches of what the layers of one network received and emitted."""

    def __init__(self, network: nn.Module, example: Tensor, pixel_bits: int) -> None:
        self.network = network
        self.tracker = tracker = Tracker(network, pixel_bits)
        end = recording({"": network}, lambda *call: tracker.finish(call[-1]))
        self.rows: dict[str, int] = {}
        """Rows of a batch per pixel, by layer: its time steps, or 1."""
        rows = recording(tracker.modules(), self._note_rows)
        with recording(tracker.modules(), tracker.note), rows, end:
            self.table = {info.name: info for info in layer_table(network, example)}
        self.spiking = spiking_layers(network)
        self.steps, self.spike_driven = 1, frozenset[str]()
        self.neurons: dict[str, nn.Module] = {}
        if isinstance(network, SpikingNetwork):
            self.steps, self.spike_driven = network.time_steps, network.spike_driven
            children = network.layers.named_children()
            self.neurons = {name: layer for name, layer in children if isinstance(layer, Neuron)}
        self.pixels = 0
        self.inputs, self.accumulates, self.active, self.fetched = (
            {name: 0.0 for name in self.table} for _ in range(4)
        )
        self.spikes: dict[str, tuple[float, int]] = {}
        self.magnitudes: dict[str, tuple[float, float, float]] = {}
        self._batch: list[tuple[str, int, float, float]] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record every forward of the network while the block runs."""
        layers = {name: self.network.get_submodule(name) for name in self.table}
        with (
            recording(layers, self._record_layer),
            recording(self.neurons, self._record_spikes),
            recording({"": self.network}, self._end_batch),
        ):
            yield

    def _note_rows(self, name: str, module: nn.Module, inputs: tuple[Any, ...], out: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            self.rows[name] = len(inputs[0])

    def _record_layer(
        self, name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Any
    ) -> None:
        x = inputs[0]
        spiking = name in self.spiking
        nonzero = (x != 0).to(x.dtype)
        active = x if spiking else nonzero
        if not spiking:
            total, number, largest = self.magnitudes.get(name, (0.0, 0.0, 0.0))
            size = x.abs()
            total += float(size.sum(dtype=torch.float64))
            number += float(active.sum(dtype=torch.float64))
            self.magnitudes[name] = total, number, max(largest, float(size.max()))
        info = self.table[name]
        fired = nonzero.view(self.rows[name], -1, *x.shape[1:]).amax(0)
        self.active[name] += float(fired.sum(dtype=torch.float64))
        self.fetched[name] += _reached(info, module, fired)
        reached = _reached(info, module, x) if spiking else 0.0
        self._batch.append((name, x.shape[0], float(active.sum(dtype=torch.float64)), reached))

    def _record_spikes(self, name: str, module: nn.Module, inputs: Any, spikes: Tensor) -> None:
        total, slots = self.spikes.get(name, (0.0, 0))
        total += float(spikes.sum(dtype=torch.float64))
        self.spikes[name] = total, slots + spikes.numel()

    def _end_batch(
        self, name: str, network: nn.Module, inputs: tuple[Tensor, ...], output: Any
    ) -> None:
        pixels = len(inputs[0])
        for layer, rows, active, reached in self._batch:
            # The readout sees mean spikes [N, ...] where the layers before it see T x N batches.
            spiking = layer in self.spiking
            scale = self.steps / (rows / pixels) if spiking else pixels / rows
            self.inputs[layer] += active * scale
            self.accumulates[layer] += reached * scale
        self.pixels += pixels
        self._batch.clear()

    def layers(self) -> list[LayerActivity]:
        """Return the mean activity of every layer."""
        activity: list[LayerActivity] = []
        for name, info in self.table.items():
            values = self.pixels * math.prod(info.input_shape)
            rate = self.inputs[name] / self.pixels / math.prod(info.input_shape)
            if name in self.spiking:
                accumulates = self.accumulates[name] / self.pixels
                density = rate / self.steps
                row = LayerActivity(info, True, density, 0.0, accumulates, rate * info.mac)
            else:
                changing = name.removeprefix("layers.") in self.spike_driven
                mac = float(info.mac) * (self.steps if changing else 1)
                row = LayerActivity(info, False, rate, mac, 0.0, 0.0, changing)
                total, number, largest = self.magnitudes[name]
                mean = (
                    min(1.0, total / (number * largest)) if number else None
                )  # rounding may pass 1
                row = replace(row, input_mean=mean)
            width, sums = self.tracker.inputs[name]
            share, fetched = self.active[name] / values, self.fetched[name] / self.pixels
            row = replace(row, active_share=share, fetched=fetched)
            row = replace(row, input=width, sums=sums, **self.tracker.stored[name]._asdict())
            work = self.tracker.of(name, first=not activity)
            activity.append(replace(row, elementwise=work))
        return activity


def observe(
    network: nn.Module,
    patches: Patches,
    indices: Tensor,
    batch_size: int = 512,
    pixel_bits: int = 32,
) -> Observation:
    """Classify pixels once and record logits, operations and spike rates together.

    A CNN multiplies everywhere. An SNN multiplies in the layers before its first LIF, and at every
    step in those whose inputs were made of spikes by another such layer, a sum or an average. It
    accumulates elsewhere, one weight per spike and output: the spike mask convolved with ones.
    Element-wise work belongs to the layer with weights before it.

    Args:
        network: CNN or `SpikingNetwork`; it keeps its mode, weights and hooks.
        patches: Patches of the scene's pixels.
        indices: Flat pixel indices [N], N >= 1.
        batch_size: Patches per forward pass; limits memory.
        pixel_bits: Bits per value of the patches; 32 for floating point.

    Returns:
        Logits [N, K], layers and spike rates.

    >>> import numpy as np
    >>> from snnquant.sampling import Normalisation, Patches
    >>> plain = Normalisation(np.zeros(4, np.float32), np.ones(4, np.float32))
    >>> patches = Patches(np.ones((3, 3, 4), np.float32), 1, plain)
    >>> cnn = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> seen = observe(cnn, patches, torch.arange(9))
    >>> tuple(seen.logits.shape), seen.layers[0].mac, seen.spike_rates
    ((9, 2), 8.0, {})
    """
    recorder = _Recorder(network, patches.gather(indices[:1]), pixel_bits)
    with evaluating(network), recorder.listening():
        logits = predict(network, patches, indices, batch_size)
    rates = {name: spikes / slots for name, (spikes, slots) in recorder.spikes.items()}
    return Observation(logits, recorder.layers(), rates)


def measure(
    network: nn.Module,
    patches: Patches,
    indices: Tensor,
    batch_size: int = 512,
    pixel_bits: int = 32,
) -> list[LayerActivity]:
    """Count the operations of every layer while pixels are classified.

    Args:
        network: CNN or `SpikingNetwork`; it keeps its mode, weights and hooks.
        patches: Patches of the scene's pixels.
        indices: Flat pixel indices [N], N >= 1.
        batch_size: Patches per forward pass; limits memory.
        pixel_bits: Bits per value of the patches; 32 for floating point.

    Returns:
        One entry per layer in the order in which they run, means over the N pixels.

    >>> import numpy as np
    >>> from snnquant.sampling import Normalisation, Patches
    >>> plain = Normalisation(np.zeros(4, np.float32), np.ones(4, np.float32))
    >>> patches = Patches(np.ones((3, 3, 4), np.float32), 1, plain)
    >>> (layer,) = measure(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), patches, torch.arange(9))
    >>> layer.info.name, layer.mac, layer.ac, layer.input_density
    ('1', 8.0, 0.0, 1.0)
    """
    return observe(network, patches, indices, batch_size, pixel_bits).layers


def operations(activity: Sequence[LayerActivity]) -> dict[str, float]:
    """Sum the multiply-accumulates ("mac") and accumulates ("ac") per classified pixel.

    Args:
        activity: Layers, as `measure` returns them.

    Returns:
        `{"mac": ..., "ac": ...}`, operations per pixel.

    >>> info = LayerInfo("conv", "linear", (4,), (2, 4), (2,), (), (), 8)
    >>> operations([LayerActivity(info, False, 1.0, 8.0, 0.0, 0.0)] * 2)
    {'mac': 16.0, 'ac': 0.0}
    """
    return {
        "mac": sum(layer.mac for layer in activity),
        "ac": sum(layer.ac for layer in activity),
    }


def shared_between_windows(activity: Sequence[LayerActivity]) -> list[LayerActivity]:
    """Return the layers with operations per pixel of a map, where windows share their work.

    A convolution's outputs at a position serve every window that holds it, so that of the rows
    times columns of outputs per window one is left per pixel. Holds for networks that
    `snnquant.inference.dense_form` has a form for.
    """

    def positions(layer: LayerActivity) -> int:
        if layer.info.kind == "linear":
            return 1
        return math.prod(layer.info.output_shape[-2:])

    return [
        replace(
            layer,
            mac=layer.mac / positions(layer),
            ac=layer.ac / positions(layer),
            ac_by_rate=layer.ac_by_rate / positions(layer),
            fetched=None if layer.fetched is None else layer.fetched / positions(layer),
            elementwise=tuple(work.shared() for work in layer.elementwise),
        )
        for layer in activity
    ]


def _reached(info: LayerInfo, module: Any, spikes: Tensor) -> float:
    """Count the products of inputs that are 1: each counts once for every output it reaches."""
    if info.kind == "linear":
        return float(spikes.sum(dtype=torch.float64)) * info.weight_shape[0]
    groups: int = module.groups
    ones = spikes.new_ones(groups, *info.weight_shape[1:])
    touched = CONVOLVE[info.kind](module, spikes, ones, None)
    return float(touched.sum(dtype=torch.float64)) * (info.weight_shape[0] // groups)
