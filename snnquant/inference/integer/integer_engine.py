"""The deployed network: integer weights, spikes of 0 and 1, 32-bit sums, fixed-point neurons.

It is event-driven. The first layer multiplies, once; after it a place keeps a list of the spiking
neurons per step, and a spike adds its row of weights to the sums that it reaches. All steps of a
layer run before the next layer, for a few patches at a time, which stay in a core's cache.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.inference.integer.fixed_point_graph import FixedPointGraph
from snnquant.inference.integer.fixed_point_network import (
    FixedPointNetwork,
    Integers,
    to_fixed_point,
)
from snnquant.inference.integer.kernels import (
    FirstLayerTable,
    Longs,
    SpikeLists,
    WeightRows,
    encode,
    first_layer,
    read_out,
    spiking_layer,
)
from snnquant.inference.integer.tables import Layout, first_layer_table, weight_rows
from snnquant.inference.integer.vectors import LANES
from snnquant.sampling import PixelGrid
from snnquant.spiking import SpikingNetwork

PIXELS_AT_ONCE = 2048
"""Pixels of patches that run through all layers together; a tile is never divided."""


class TileForm(ABC):
    """Base of the engines: a `Classifier` and a `TileLogits` from whole-number logits of tiles."""

    fixed_point: FixedPointNetwork | FixedPointGraph
    margins: Sequence[float] | None

    def classes(self, tile: Tensor) -> Tensor:
        """Return class numbers from 0, [h, w], of a normalised tile; a `Classifier`."""
        if self.margins is not None:
            return self.classes_and_steps(tile)[0][0]
        return torch.from_numpy(self.logits(tile)[0].argmax(-1))

    def tile_logits(self, tile: Tensor) -> Tensor:
        """Return logits [K, h, w] of a normalised tile, float64, exact; a `TileLogits`."""
        whole = torch.from_numpy(self.logits(tile)[0]).permute(2, 0, 1)
        return whole.double() * self.fixed_point.unit

    @abstractmethod
    def logits(self, x: Tensor) -> Integers:
        """Return integers [N, h', w', classes] for tiles [N, 1, B, h, w]: logits over `unit`."""

    @abstractmethod
    def classes_and_steps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return classes from 0 and their steps, both [N, h', w'], for tiles [N, 1, B, h, w]."""


class IntegerNetwork(TileForm):
    """A quantized `SpikingNetwork` run as the integers of `to_fixed_point`, on tiles.

    Args:
        network: A quantized chain of convolutions, dense layers and LIF neurons.
        bands: Values per pixel of its input.
        window: Side of its patches, in pixels.
        margins: One per time step, in logits: a pixel stops after the first step whose two best
            logits lie further apart; without margins all steps run.
        grid: Grid that its input lies on; None for floating point, which is rounded to 16 bits.

    Raises:
        InputError: Where `to_fixed_point` does, and without numba.

    Example:
        >>> from torch import nn
        >>> from snnquant.config import QuantizationConfig
        >>> from snnquant.quantization import quantize
        >>> from snnquant.spiking import LIF
        >>> layers = {"conv": nn.Conv3d(1, 4, (3, 1, 1)), "lif": LIF(), "flatten": nn.Flatten()}
        >>> layers["classifier"] = nn.Linear(4 * 6, 3)
        >>> network = quantize(SpikingNetwork(layers, time_steps=2), QuantizationConfig())
        >>> IntegerNetwork(network, bands=8, window=1).classes(torch.zeros(1, 1, 8, 5, 4)).shape
        torch.Size([5, 4])
    """

    def __init__(
        self,
        network: SpikingNetwork,
        bands: int,
        window: int,
        margins: Sequence[float] | None = None,
        *,
        grid: PixelGrid | None = None,
    ) -> None:
        fixed = to_fixed_point(network, bands, window, grid)
        self.fixed_point: FixedPointNetwork = fixed
        self.margins = margins
        first, *others = fixed.synapses
        self._padding = first.padding
        self._first, self._starts = first_layer_table(first)
        self._layouts = [Layout.by_channel(first), *map(Layout.by_depth, others[:-1])]
        layers = list(zip(self._layouts, fixed.neurons, strict=True))
        self._neurons = [layout.neurons(neurons) for layout, neurons in layers]
        # The steps of the last synapse are added up, those of others are read one by one.
        steps = [1] * len(others[:-1]) + [fixed.time_steps]
        tables = [weight_rows(*parts) for parts in zip(others, self._layouts, steps, strict=True)]
        self._rows, self._codes = [rows for rows, _ in tables], [codes for _, codes in tables]
        # After the last layer with a window in space a pixel is independent and can stop early.
        around = [i for i, rows in enumerate(self._rows, 1) if rows.rows * rows.columns > 1]
        self._independent = max([1, *around])

    def logits(self, x: Tensor) -> Integers:
        """Return integers [N, h', w', classes] for tiles [N, 1, B, h, w]: logits over `unit`."""
        fixed = self.fixed_point
        totals = []
        for spikes in self._spikes(x, len(self._neurons), self._codes[-1]):
            shape = _places(spikes.shape, self._rows[-1])
            positions = np.arange(math.prod(shape))
            part = self._read_out(spikes, positions, 0, fixed.time_steps)
            totals.append(part.reshape(*shape, -1))
        logits: Integers = np.concatenate(totals) * fixed.multiplier + fixed.output_bias
        return logits

    def classes_and_steps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return classes from 0 and their steps, both [N, h', w'], for tiles [N, 1, B, h, w]."""
        parts = []
        for spikes in self._spikes(x, self._independent, self._codes[self._independent - 1]):
            shape = _places(spikes.shape, self._rows[self._independent - 1])
            found = self._until_settled(spikes, math.prod(shape))
            parts.append([values.reshape(shape) for values in found])
        classes, steps = (torch.from_numpy(np.concatenate(p)) for p in zip(*parts, strict=True))
        return classes, steps

    def spikes(self, x: Tensor, layer: int) -> NDArray[np.bool_]:
        """Return spikes [T, N, h, w, depth, K] of layer 0, 1, ... for tiles [N, 1, B, h, w]."""
        layout = self._layouts[layer]
        slots = np.arange(layout.length, dtype=np.int32)
        parts = []
        for found in self._spikes(x, layer + 1, slots):
            counts = np.diff(found.bounds[: math.prod(found.shape) * found.steps + 1])
            spikes = np.zeros((len(counts), layout.length), np.bool_)
            spikes[np.repeat(np.arange(len(counts)), counts), found.events[: counts.sum()]] = True
            parts.append(spikes[:, layout.slots].reshape(*found.shape, -1, *layout.slots.shape))
        return np.moveaxis(np.concatenate(parts), 3, 0)

    def _spikes(self, x: Tensor, layers: int, codes: Integers) -> Iterator[SpikeLists]:
        """Yield the spikes of the last of `layers` layers, as `codes` [L], per block of tiles.

        Each result overwrites the previous one.
        """
        samples, _, bands, height, width = x.shape
        size = (min(samples, max(1, PIXELS_AT_ONCE // (height * width))), height, width)
        pairs = np.empty((math.prod(size), len(self._starts)), np.int32)
        all_codes = [*self._codes[: layers - 1], codes]
        room: list[SpikeLists] = []
        kernels: list[FirstLayerTable | WeightRows] = [self._first, *self._rows]
        for numbers, kernel in zip(all_codes, kernels, strict=False):
            shape = _places(room[-1].shape if room else size, kernel)
            room.append(_room(shape, len(numbers), self.fixed_point.time_steps))
        fixed, depth = self.fixed_point, self.fixed_point.synapses[0].depth
        encoding = fixed.input_scale, fixed.input_limit
        for part in torch.split(x[:, 0].permute(0, 2, 3, 1), size[0]):
            pixels = part.reshape(-1, bands).numpy()
            encode(pixels, *encoding, self._padding, self._starts, pairs)
            size = (len(part), height, width)
            outs = [out._replace(shape=(len(part), *out.shape[1:])) for out in room]
            neurons = self._neurons[0]
            first_layer(pairs, size, self._first, neurons, all_codes[0], depth, outs[0])
            for i, out in enumerate(outs[1:], 1):
                positions = np.arange(math.prod(out.shape))
                anew = np.empty((0, len(all_codes[i])), np.int32)
                self._layer(i, outs[i - 1], positions, 0, all_codes[i], anew, out)
            yield outs[-1]

    def _layer(
        self,
        i: int,
        spikes: SpikeLists,
        positions: Longs,
        first: int,
        codes: Integers,
        states: Integers,
        out: SpikeLists,
    ) -> None:
        rows, neurons = self._rows[i - 1], self._neurons[i]
        spiking_layer(spikes, positions, first, rows, neurons, codes, states, out)

    def _read_out(self, spikes: SpikeLists, positions: Longs, first: int, count: int) -> Integers:
        totals = np.empty((len(positions), len(self.fixed_point.multiplier)), np.int32)
        read_out(spikes, positions, first, count, self._rows[-1], totals)
        return totals

    def _until_settled(
        self, spikes: SpikeLists, count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return classes and steps of all positions, dropping each when it is settled."""
        fixed = self.fixed_point
        classes, steps = np.empty(count, np.int64), np.empty(count, np.int64)
        active = np.arange(count)
        states = [
            np.tile(neurons.start, (count, 1)) for neurons in self._neurons[self._independent :]
        ]
        sums = np.zeros((count, len(fixed.multiplier)), np.int32)
        for t in range(fixed.time_steps):
            if not len(active):
                break
            step, at, first = spikes, active, t
            for i, state in enumerate(states, self._independent):
                out = _room((len(active), 1, 1), len(self._codes[i]), 1)
                self._layer(i, step, at, first, self._codes[i], state, out)
                step, at, first = out, np.arange(len(active)), 0
            sums += self._read_out(step, at, first, 1)
            mean = sums * (fixed.multiplier * (fixed.time_steps / (t + 1))) + fixed.output_bias
            best = np.partition(mean, -2, axis=1)[:, -2:]
            margin = self.margins[t] if self.margins and t + 1 < fixed.time_steps else -np.inf
            settled = (best[:, 1] - best[:, 0]) * fixed.unit > margin
            classes[active[settled]] = mean[settled].argmax(1)
            steps[active[settled]] = t + 1
            active, sums = active[~settled], sums[~settled]
            states = [state[~settled] for state in states]
        return classes, steps


def _places(
    shape: tuple[int, int, int], kernel: FirstLayerTable | WeightRows
) -> tuple[int, int, int]:
    """Return the positions of a window in tiles [N, H, W]."""
    samples, height, width = shape
    return samples, height - kernel.rows + 1, width - kernel.columns + 1


def _room(shape: tuple[int, int, int], neurons: int, steps: int) -> SpikeLists:
    """Allocate lists for all neurons to spike in all steps; untouched pages take no memory."""
    lists = math.prod(shape) * steps
    events = np.empty(lists * neurons + LANES, np.int32)
    return SpikeLists(events, np.empty(lists + 1, np.int64), shape, steps)
