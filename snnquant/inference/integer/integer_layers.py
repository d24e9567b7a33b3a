"""The layers of the integer engine one after another: spikes of blocks of tiles, class sums."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
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
    read_out,
    spiking_layer,
)
from snnquant.inference.integer.pixelwise import PointLayers
from snnquant.inference.integer.tables import (
    Layout,
    across_table,
    averages,
    first_layer_table,
    weight_rows,
    with_zero_at,
)
from snnquant.inference.integer.tile_form import TileForm, pixels_of, places_of, room_for
from snnquant.inference.integer.vectors import LANES
from snnquant.sampling import PixelGrid
from snnquant.spiking import SpikingNetwork

PIXELS_AT_ONCE = 2048
"""Pixels of patches that run through all layers together; a tile is never divided."""
ROWS_OF_PIXELS = 1024
"""Pixels of whole rows that run through layers without a window in space together."""


class IntegerLayers(TileForm):
    """Tables of a quantized chain, and its layers on blocks of tiles; see `IntegerNetwork`."""

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
        values = pixels_of(x)
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
            shape = places_of(room[-1].shape if room else size, kernel)
            form = LISTS if not dense[i] else COUNTS if i + 1 == len(self._rows) else ROWS
            room.append(room_for(shape, len(numbers), self.fixed_point.time_steps, form))
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
        places = math.prod(places_of(spikes.shape, table))
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
            positions = np.arange(math.prod(places_of(spikes.shape, self._rows[-1])))
        totals = np.empty((len(positions), len(self.fixed_point.multiplier)), np.int32)
        read_out(spikes, positions, first, count, self._rows[-1], totals)
        return totals
