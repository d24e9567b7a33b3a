"""The deployed network: integer weights, spikes of 0 and 1, 32-bit sums, fixed-point neurons.

The first layer multiplies, once. A later layer is driven by events, lists of the spiking neurons
per place and step, of which each adds its row of weights to the sums that it reaches; or it
multiplies bytes 0 and 1 of all steps. Which is faster depends on the processor and on how many
neurons spike, so it is measured on the first pixels. All steps of a layer run before the next
layer, for a few patches at a time, which stay in a core's cache.
"""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.inference.integer.dense_layers import dense_layer, dense_read_out
from snnquant.inference.integer.encoding import BYTE, Coder, encode, encode_whole
from snnquant.inference.integer.first_layers import (
    BESIDE,
    AcrossTable,
    FirstLayerTable,
    first_layer,
    first_layer_across,
)
from snnquant.inference.integer.fixed_point_graph import FixedPointGraph
from snnquant.inference.integer.fixed_point_network import (
    FixedPointNetwork,
    Integers,
    to_fixed_point,
)
from snnquant.inference.integer.kernels import (
    COUNTS,
    LISTS,
    ROWS,
    Longs,
    Spikes,
    WeightRows,
    best_classes,
    read_out,
    spiking_layer,
    window_sums,
)
from snnquant.inference.integer.pixelwise import PointLayers, run_points
from snnquant.inference.integer.tables import (
    Layout,
    across_table,
    averages,
    first_layer_table,
    weight_rows,
    with_zero_at,
)
from snnquant.inference.integer.vectors import LANES
from snnquant.sampling import Normalisation, PixelGrid
from snnquant.spiking import SpikingNetwork

PIXELS_AT_ONCE = 2048
"""Pixels of patches that run through all layers together; a tile is never divided."""
ROWS_OF_PIXELS = 1024
"""Pixels of whole rows that run through layers without a window in space together."""
MEASURED_SIDE, MEASUREMENTS = 16, 3
"""Places per side on which the forms of a layer are timed, and how often."""


class TileForm(ABC):
    """Base of the engines: a `Classifier` and a `TileLogits` from whole-number logits of tiles."""

    fixed_point: FixedPointNetwork | FixedPointGraph
    margins: Sequence[float] | None

    def of_pixels(self, normalisation: Normalisation) -> TileForm | None:
        """Return the network for tiles of raw pixels, which it normalises to the same codes.

        None where it takes only normalised ones.
        """
        return None

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

    Attributes:
        can_multiply: For every layer after the first whether it has the form of a product.
        dense: Whether it is used, without margins; None until the first pixels have been measured.
            The logits are the same.

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
        across = first.depth == 1 and not first.padding
        self._in_bytes = across and grid is not None and fixed.input_limit <= BYTE
        self._coder = Coder.of_codes(
            bands, fixed.input_scale, fixed.input_limit, in_bytes=self._in_bytes
        )
        self._layouts = [Layout.by_channel(first), *map(Layout.by_depth, others[:-1])]
        self._first: FirstLayerTable | AcrossTable
        self._starts = np.empty(0, int)
        if across:
            self._first = across_table(first, np.arange(bands)[:, None], in_bytes=self._in_bytes)
        else:
            self._first, self._starts = first_layer_table(first)
        layers = list(zip(self._layouts, fixed.neurons, strict=True))
        if self._in_bytes:
            layers[0] = self._layouts[0], with_zero_at(BYTE, fixed.neurons[0], first)
        self._neurons = [layout.neurons(neurons) for layout, neurons in layers]
        self._window = others[-1].codes.shape[2:4]
        if averages(others[-1]):  # the sums of a window are added up, not the rows of its spikes
            others[-1] = replace(others[-1], codes=others[-1].codes[:, :, :1, :1])
        else:
            self._window = (1, 1)
        # The steps of the last synapse are added up, those of others are read one by one.
        steps = [1] * len(others[:-1]) + [fixed.time_steps]
        tables = [weight_rows(*parts) for parts in zip(others, self._layouts, steps, strict=True)]
        self._rows, self._codes = [rows for rows, _ in tables], [codes for _, codes in tables]
        kernels = [self._first, *self._rows]
        pointwise = all(kernel.rows * kernel.columns == 1 for kernel in kernels)
        pointwise &= all(synapse.depth == 1 for synapse in others)
        self._tables: list[AcrossTable | None] = []
        for synapse, inputs in zip(others, self._layouts, strict=True):
            # Windows are runs of bytes where all channels of a depth are neighbours.
            runs = inputs is not self._layouts[0] or first.depth == 1
            dense = runs and not synapse.padding and fixed.time_steps < 2 * BYTE
            table = across_table(synapse, inputs.slots, in_bytes=True) if dense else None
            self._tables.append(table)
        self._depths = [(synapse.depth, synapse.stride) for synapse in others]
        known = [table for table in self._tables if table is not None]
        self.can_multiply = [table is not None for table in self._tables]
        self.dense: Sequence[bool] | None = None if known else [False] * len(others)
        self._points: PointLayers | None = None
        if across and pointwise and len(known) == len(others):
            self._points = PointLayers.of(self._neurons, known)
        # After the last layer with a window in space a pixel is independent and can stop early.
        around = [i for i, rows in enumerate(self._rows, 1) if rows.rows * rows.columns > 1]
        self._independent = max([1, *around])

    def of_pixels(self, normalisation: Normalisation) -> Self | None:
        """Return the network for tiles of raw pixels, which it normalises to the same codes.

        None where the normalisation, which is that of its input, is more than a line per band.
        """
        fixed = self.fixed_point
        coder = Coder.of_values(
            normalisation, fixed.input_scale, fixed.input_limit, in_bytes=self._in_bytes
        )
        if coder is None:
            return None
        own = copy.copy(self)
        own._coder = coder
        return own

    def classes(self, tile: Tensor) -> Tensor:
        """Return class numbers from 0, [h, w], of a normalised tile; a `Classifier`."""
        if self.margins is not None:
            return super().classes(tile)
        fixed = self.fixed_point
        sums = self._sums(tile, 0, fixed.time_steps)
        best = np.empty(len(sums), np.int64)
        best_classes(sums, fixed.multiplier, fixed.output_bias, best)
        return torch.from_numpy(best.reshape(self._shape(tile)[1:]))

    def logits(self, x: Tensor) -> Integers:
        """Return integers [N, h', w', classes] for tiles [N, 1, B, h, w]: logits over `unit`."""
        fixed = self.fixed_point
        sums = self._sums(x, 0, fixed.time_steps)
        logits: Integers = sums * fixed.multiplier + fixed.output_bias
        return logits.reshape(*self._shape(x), -1)

    def classes_and_steps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return classes from 0 and their steps, both [N, h', w'], for tiles [N, 1, B, h, w]."""
        if self._window != (1, 1):
            steps = range(self.fixed_point.time_steps)
            by_step = [self._sums(x, t, 1) for t in steps]
            parts = [self._until_settled(len(by_step[0]), lambda t, active: by_step[t][active])]
        else:
            codes = self._codes[self._independent - 1]
            parts = []
            by_events = [False] * self._independent
            for spikes in self._spikes(x, self._independent, codes, by_events):
                count = math.prod(_places(spikes.shape, self._rows[self._independent - 1]))
                parts.append(self._until_settled(count, self._sums_of_steps(spikes, count)))
        shape = self._shape(x)
        classes, steps_of = (np.concatenate(p).reshape(shape) for p in zip(*parts, strict=True))
        return torch.from_numpy(classes), torch.from_numpy(steps_of)

    def spikes(self, x: Tensor, layer: int) -> NDArray[np.bool_]:
        """Return spikes [T, N, h, w, depth, K] of layer 0, 1, ... for tiles [N, 1, B, h, w]."""
        layout = self._layouts[layer]
        slots = np.arange(layout.length, dtype=np.int32)
        parts = []
        for found in self._spikes(x, layer + 1, slots, [False] * (layer + 1)):
            counts = np.diff(found.bounds[: math.prod(found.shape) * found.steps + 1])
            spikes = np.zeros((len(counts), layout.length), np.bool_)
            spikes[np.repeat(np.arange(len(counts)), counts), found.events[: counts.sum()]] = True
            parts.append(spikes[:, layout.slots].reshape(*found.shape, -1, *layout.slots.shape))
        found_by_row = np.concatenate(parts)
        across, *rest = found_by_row.shape[2:]
        return np.moveaxis(found_by_row.reshape(len(x), -1, across, *rest), 3, 0)

    def _spikes(
        self, x: Tensor, layers: int, codes: Integers, dense: Sequence[bool]
    ) -> Iterator[Spikes]:
        """Yield the spikes of the last of `layers` layers, as `codes` [L], per block of tiles.

        `dense` says for the layer that reads them, and for all before it except the first, whether
        it multiplies. Each result overwrites the previous one.
        """
        values = _pixels(x)
        samples, height, width, _ = values.shape
        kernels = [self._first, *self._rows][: layers + 1]  # and that which reads the spikes
        at_once = PIXELS_AT_ONCE
        if all(kernel.rows * kernel.columns == 1 for kernel in kernels):
            # A row of pixels is as good a tile as any, and a few of them stay in a core's cache.
            samples, height, at_once = samples * height, 1, ROWS_OF_PIXELS
        together = min(samples, max(1, at_once // (height * width)))
        size = (together, height, width)
        pixels, words = self._room_of_pixels(math.prod(size))
        all_codes = [*self._codes[: layers - 1], codes]
        room: list[Spikes] = []
        for i, (numbers, kernel) in enumerate(zip(all_codes, kernels, strict=False)):
            shape = _places(room[-1].shape if room else size, kernel)
            form = LISTS if not dense[i] else COUNTS if i + 1 == len(self._rows) else ROWS
            room.append(_room(shape, len(numbers), self.fixed_point.time_steps, form))
        for start in range(0, samples, together):
            count = min(together, samples - start)
            rows = start * height, count * height
            if isinstance(self._first, AcrossTable):
                encode_whole(values, *rows, self._coder, pixels)
            else:
                encode(values, *rows, self._coder, self._padding, self._starts, words)
            outs = [out._replace(shape=(count, *out.shape[1:])) for out in room]
            self._first_layer(words, (count, height, width), all_codes[0], outs[0])
            for i, out in enumerate(outs[1:], 1):
                self._later_layer(i, outs[i - 1], all_codes[i], out)
            yield outs[-1]

    def _later_layer(self, i: int, spikes: Spikes, codes: Integers, out: Spikes) -> None:
        """Run all steps of a layer, in the form that its spikes have."""
        table, neurons, (depth, stride) = self._tables[i - 1], self._neurons[i], self._depths[i - 1]
        if spikes.form == LISTS:
            positions, anew = np.arange(math.prod(out.shape)), np.empty((0, len(codes)), np.int32)
            self._layer(i, spikes, positions, 0, codes, anew, out)
        else:
            assert table is not None
            before = self._layouts[i - 1]
            stride *= before.length // len(before.slots)
            dense_layer(spikes, before.length, table, depth, stride, neurons, codes, out)

    def _forms(self, x: Tensor) -> Sequence[bool]:
        """Return `dense`, measured on some pixels of these tiles if they are enough."""
        if self.dense is None:
            sides = zip(x.shape[3:], self._shape(x)[1:], strict=True)
            height, width = (min(n, MEASURED_SIDE + n - places) for n, places in sides)
            each = math.prod(self._shape(x[:1, ..., :height, :width]))
            some = x[: max(1, MEASURED_SIDE**2 // each), ..., :height, :width]
            if len(some) * each < MEASURED_SIDE**2 // 2:
                return [False] * len(self._rows)
            self.dense = self._faster_forms(some)
        return self.dense

    def _faster_forms(self, x: Tensor) -> list[bool]:
        """Return for every layer after the first whether it is faster as a product."""
        steps, dense = self.fixed_point.time_steps, list[bool]()
        for i, table in enumerate(self._tables, 1):
            seconds = []
            for multiplies in [False, True] if table is not None else [False]:
                spikes = next(self._spikes(x, i, self._codes[i - 1], [*dense, multiplies]))
                shape = _places(spikes.shape, self._rows[i - 1])
                times = []
                for _ in range(MEASUREMENTS):  # the first one may compile
                    begun = time.thread_time()
                    if i < len(self._rows):
                        out = _room(shape, len(self._codes[i]), steps, LISTS)
                        self._later_layer(i, spikes, self._codes[i], out)
                    else:
                        self._class_sums(spikes)
                    times.append(time.thread_time() - begun)
                seconds.append(min(times))
            dense.append(seconds[-1] < seconds[0])
        return dense

    def _room_of_pixels(self, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return room for the codes of pixels, [P, B] and as words [P, V]: the same memory."""
        if not isinstance(self._first, AcrossTable):
            words = np.empty((count, len(self._starts)), np.int32)
            return words, words
        bands = -(-len(self._coder.mean) // LANES) * LANES
        codes = np.zeros((count, bands), np.uint8 if self._in_bytes else np.int16)
        return codes, codes.view(self._first.weights.dtype)

    def _first_layer(
        self, words: NDArray[Any], size: tuple[int, int, int], codes: Integers, out: Spikes
    ) -> None:
        neurons = self._neurons[0]
        if isinstance(self._first, AcrossTable):
            first_layer_across(words, size, self._first, neurons, codes, out)
        else:
            depth = self.fixed_point.synapses[0].depth
            first_layer(words, size, self._first, neurons, codes, depth, out)

    def _layer(
        self,
        i: int,
        spikes: Spikes,
        positions: Longs,
        first: int,
        codes: Integers,
        states: Integers,
        out: Spikes,
    ) -> None:
        rows, neurons = self._rows[i - 1], self._neurons[i]
        spiking_layer(spikes, positions, first, rows, neurons, codes, states, out)

    def _class_sums(self, spikes: Spikes) -> Integers:
        """Return whole sums of the classes [P, K] over all steps, in the form of the spikes."""
        if spikes.form == LISTS:
            return self._read_out(spikes, None, 0, spikes.steps)
        table = self._tables[-1]
        assert table is not None
        places = math.prod(_places(spikes.shape, table))
        totals = np.empty((places + -places % BESIDE, table.weights.shape[3]), np.int32)
        dense_read_out(spikes, self._layouts[-1].length, table, totals)
        return self._of_classes(totals, places)

    def _of_classes(self, totals: Integers, places: int) -> Integers:
        sums: Integers = totals[:places, : len(self.fixed_point.multiplier)]
        return np.ascontiguousarray(sums)

    def _read_out(
        self, spikes: Spikes, positions: Longs | None, first: int, count: int
    ) -> Integers:
        if positions is None:
            positions = np.arange(math.prod(_places(spikes.shape, self._rows[-1])))
        totals = np.empty((len(positions), len(self.fixed_point.multiplier)), np.int32)
        read_out(spikes, positions, first, count, self._rows[-1], totals)
        return totals

    def _sums(self, x: Tensor, first: int, count: int) -> Integers:
        """Return whole sums of the classes [P, K] of tiles over `count` steps from `first` on."""
        if self._points is not None and count == self.fixed_point.time_steps:
            sums = self._sums_at_points(x, self._points)
        else:
            layers, codes = len(self._neurons), self._codes[-1]
            if count == self.fixed_point.time_steps:
                found = self._spikes(x, layers, codes, self._forms(x))
                sums = np.concatenate([self._class_sums(spikes) for spikes in found])
            else:
                found = self._spikes(x, layers, codes, [False] * layers)
                sums = np.concatenate(
                    [self._read_out(spikes, None, first, count) for spikes in found]
                )
        if self._window == (1, 1):
            return sums
        samples, height, width = self._shape(x)
        rows, columns = self._window
        across = sums.reshape(samples, height + rows - 1, width + columns - 1, -1)
        whole = np.empty((samples, height, width, sums.shape[1]), np.int32)
        window_sums(across, rows, columns, whole)
        return whole.reshape(samples * height * width, -1)

    def _sums_at_points(self, x: Tensor, layers: PointLayers) -> Integers:
        """Return whole sums of the classes [P, K] of all steps, a few pixels' in one go."""
        values, steps = _pixels(x), self.fixed_point.time_steps
        places, (longest, _, _) = math.prod(values.shape[:3]), layers.sizes.max(0)
        spikes = np.zeros(BESIDE * steps * longest, np.uint8)
        totals = np.empty((places + -places % BESIDE, layers.sizes[-1, 2]), np.int32)
        assert isinstance(self._first, AcrossTable)
        run_points(
            values,
            self._coder,
            self._room_of_pixels(BESIDE),
            self._first,
            layers,
            (spikes, spikes.view(np.uint32)),
            np.empty(BESIDE * steps * layers.sizes.max(), np.int32),
            steps,
            totals,
        )
        return self._of_classes(totals, places)

    def _shape(self, x: Tensor) -> tuple[int, int, int]:
        """Return the places [N, h', w'] of the logits of tiles."""
        kernels = [self._first, *self._rows]
        rows = sum(kernel.rows - 1 for kernel in kernels) + self._window[0] - 1
        columns = sum(kernel.columns - 1 for kernel in kernels) + self._window[1] - 1
        return len(x), x.shape[3] - rows, x.shape[4] - columns

    def _sums_of_steps(self, spikes: Spikes, count: int) -> Callable[[int, Longs], Integers]:
        """Return a function of the step and of positions to sums, called step after step."""
        states = [
            np.tile(neurons.cells[0], (count, 1)) for neurons in self._neurons[self._independent :]
        ]

        def sums(t: int, active: Longs) -> Integers:
            step, at, first = spikes, active, t
            for i, state in enumerate(states, self._independent):
                out, own = _room((len(active), 1, 1), len(self._codes[i]), 1, LISTS), state[active]
                self._layer(i, step, at, first, self._codes[i], own, out)
                state[active] = own
                step, at, first = out, np.arange(len(active)), 0
            return self._read_out(step, at, first, 1)

        return sums

    def _until_settled(
        self, count: int, sums_of: Callable[[int, Longs], Integers]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return classes and steps of all positions, dropping each when it is settled."""
        fixed = self.fixed_point
        classes, steps = np.empty(count, np.int64), np.empty(count, np.int64)
        active = np.arange(count)
        sums = np.zeros((count, len(fixed.multiplier)), np.int32)
        for t in range(fixed.time_steps):
            if not len(active):
                break
            sums += sums_of(t, active)
            mean = sums * (fixed.multiplier * (fixed.time_steps / (t + 1))) + fixed.output_bias
            best = np.partition(mean, -2, axis=1)[:, -2:]
            margin = self.margins[t] if self.margins and t + 1 < fixed.time_steps else -np.inf
            settled = (best[:, 1] - best[:, 0]) * fixed.unit > margin
            classes[active[settled]] = mean[settled].argmax(1)
            steps[active[settled]] = t + 1
            active, sums = active[~settled], sums[~settled]
        return classes, steps


def _pixels(x: Tensor) -> NDArray[np.float32]:
    """Return the pixels [N, h, w, B] of tiles [N, 1, B, h, w], whose bands lie side by side."""
    values: NDArray[np.float32] = x[:, 0].permute(0, 2, 3, 1).numpy()
    return values if values.strides[-1] == values.itemsize else np.ascontiguousarray(values)


def _places(
    shape: tuple[int, int, int], kernel: FirstLayerTable | AcrossTable | WeightRows
) -> tuple[int, int, int]:
    """Return the positions of a window in tiles [N, H, W]."""
    samples, height, width = shape
    return samples, height - kernel.rows + 1, width - kernel.columns + 1


def _room(shape: tuple[int, int, int], neurons: int, steps: int, form: int) -> Spikes:
    """Allocate room for all neurons to spike in all steps; untouched pages take no memory."""
    places, lists = math.prod(shape), form == LISTS
    events = np.empty((places * steps * neurons + LANES) * lists, np.int32)
    bounds = np.empty(places * steps * lists + 1, np.int64)
    rows = np.empty(places * neurons * {LISTS: 0, ROWS: steps, COUNTS: 1}[form], np.uint8)
    return Spikes(form, events, bounds, rows, shape, steps)
