"""Tables of synapses and neurons that the integer engine's loops read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnquant.inference.integer.first_layers import ABREAST, AcrossTable, FirstLayerTable
from snnquant.inference.integer.fixed_point_network import Integers, Neurons, Synapse
from snnquant.inference.integer.kernels import RESETS, Longs, NeuronTable, WeightRows
from snnquant.inference.integer.vectors import LANES
from snnquant.spiking import unknown_reset

_UNREACHED = 2**31 - 1
SHORT = 2**15
"""Sums below this fit into 16 bits."""


def _up(number: int, multiple: int) -> int:
    return number + -number % multiple


@dataclass(frozen=True)
class Layout:
    """The slots of a place's neurons [depth, K] among the `length` that loops run through."""

    slots: Longs
    length: int

    @classmethod
    def by_channel(cls, synapse: Synapse) -> Layout:
        """Lay out all depths of a channel, then the next; K is padded to a multiple of 8."""
        channels, depth = len(synapse.codes), synapse.depth
        slots = np.arange(depth)[:, None] + depth * np.arange(channels)
        return cls(slots, _up(_up(channels, ABREAST) * depth, LANES))

    @classmethod
    def by_depth(cls, synapse: Synapse) -> Layout:
        """Lay out all channels of a depth, in whole vectors, then the next."""
        channels = len(synapse.codes)
        across = _up(channels, LANES)
        slots = across * np.arange(synapse.depth)[:, None] + np.arange(channels)
        return cls(slots, synapse.depth * across)

    def neurons(self, neurons: Neurons) -> NeuronTable:
        """Return neurons given per channel in their slots; raise InputError for their reset."""
        if neurons.reset not in RESETS:
            raise unknown_reset(neurons.reset, "integer engine", tuple(RESETS))

        def at_slots(numbers: Integers, elsewhere: int) -> Integers:
            row = np.full(self.length, elsewhere, np.int32)
            row[self.slots] = numbers
            return row

        cells = (
            at_slots(neurons.start, 0),
            at_slots(neurons.threshold, _UNREACHED),
            at_slots(neurons.shift, 0),
            at_slots(neurons.bias, 0),
            at_slots(neurons.rounding, 0),
        )
        reset = RESETS[neurons.reset]
        return NeuronTable(np.stack(cells), neurons.leak, reset, neurons.potential_bits)


def first_layer_table(synapse: Synapse) -> tuple[FirstLayerTable, Longs]:
    """Return the first synapse's table, and the first bands of the pairs it reads, for `encode`.

    A tap reads at depth d from band stride d + offset: offsets that differ by strides read one run
    of pairs, shifted.
    """
    channels, span, rows, columns, _ = synapse.codes.shape
    offsets = np.arange(0, span, 2)
    phases, which = np.unique(offsets % synapse.stride, return_inverse=True)
    shifts = offsets // synapse.stride
    run = _up(synapse.depth, LANES) + shifts.max()
    starts = phases[:, None] + synapse.stride * np.arange(run)
    weights = np.zeros((_up(channels, ABREAST), rows, columns, 2 * len(offsets)), np.int16)
    weights[:channels, :, :, :span] = synapse.codes[..., 0].transpose(0, 2, 3, 1)
    grouped = weights.reshape(-1, ABREAST, rows, columns, len(offsets), 2)
    words = np.ascontiguousarray(grouped.transpose(0, 2, 3, 4, 1, 5)).view(np.int32)[..., 0]
    return FirstLayerTable(words, which * run + shifts, rows, columns), starts.ravel()


def across_table(synapse: Synapse, inputs: Longs, *, in_bytes: bool) -> AcrossTable:
    """Return the table of a synapse without padding whose windows are runs of a place's values.

    `inputs` [D, C] are the slots of its inputs among these values; words are of four bytes, or of
    two int16.
    """
    channels, span, rows, columns, _ = synapse.codes.shape
    inputs, length = inputs[:span], _up(channels, LANES)
    each, dtype, word = (4, np.int8, np.uint32) if in_bytes else (2, np.int16, np.int32)
    weights = np.zeros((rows, columns, _up(int(inputs.max()) + 1, each), length), dtype)
    to = inputs[..., None], np.arange(channels)
    weights[:, :, *to] = synapse.codes.transpose(2, 3, 1, 4, 0)
    by_words = weights.reshape(rows, columns, -1, each, length).swapaxes(3, 4)
    words = np.ascontiguousarray(by_words).view(word)[..., 0]
    return AcrossTable(words, words.shape[2], rows, columns)


def with_zero_at(zero: int, neurons: Neurons, synapse: Synapse) -> Neurons:
    """Return neurons for inputs whose codes have `zero` added.

    Sums wrap around at 32 bits, and come back by this bias.
    """
    added = zero * synapse.codes.reshape(len(synapse.codes), -1).sum(1, np.int64)
    bias = neurons.bias - (added << neurons.shift)
    return replace(neurons, bias=bias.astype(np.int32))


def averages(synapse: Synapse) -> bool:
    """Tell whether a synapse has the same weights at all positions of a window."""
    return bool((synapse.codes == synapse.codes[:, :, :1, :1]).all())


def weight_rows(synapse: Synapse, layout: Layout, steps: int) -> tuple[WeightRows, Integers]:
    """Return the rows that spikes of the neurons before a synapse add, and the neurons' codes [L].

    `steps` are added up before the sums are read. Neurons whose rows are equal share them.
    """
    channels, _, rows, columns, _ = synapse.codes.shape
    inputs, depth = layout.slots.size, synapse.depth
    narrow = np.abs(synapse.codes).reshape(channels, -1).sum(1).max() * steps < SHORT
    dtype = np.dtype(np.int16 if narrow else np.int32)
    across = _up(channels, LANES if depth > 1 else LANES * 4 // dtype.itemsize)
    table, starts = _whole_rows(synapse, len(layout.slots), across, dtype)
    reach = table.shape[-1]
    kinds, of = np.unique(table.reshape(inputs, -1), axis=0, return_inverse=True)
    shift = int(starts.max() * across // LANES).bit_length() if depth > 1 else 0
    codes = np.zeros(layout.length, np.int32)
    starts = starts[:, None] * across // LANES
    codes[layout.slots] = of.reshape(layout.slots.shape) * (reach // LANES) << shift | starts
    places = np.ascontiguousarray(
        kinds.reshape(len(kinds), rows * columns, reach).transpose(1, 0, 2)
    )
    sums = int(starts.max()) * LANES + reach
    return WeightRows(places, max(sums, depth * across), shift, rows, columns), codes


def _whole_rows(
    synapse: Synapse, inputs: int, across: int, dtype: np.dtype[np.generic]
) -> tuple[NDArray[np.generic], Longs]:
    """Return weights [inputs, C, h w, reach] to the outputs that a depth reaches, and the first.

    Channels of an output take `across` values.
    """
    channels, span, rows, columns, _ = synapse.codes.shape
    tap = np.arange(inputs)[:, None] + synapse.padding - synapse.stride * np.arange(synapse.depth)
    reached = (tap >= 0) & (tap < span)
    starts, widest = reached.argmax(1), int(reached.sum(1).max())
    widest += widest * across % (2 * LANES) > 0  # rows are added by two vectors
    shape = (inputs, synapse.codes.shape[-1], rows, columns, widest, across)
    table = np.zeros(shape, dtype)
    for z in range(inputs):
        for i, d in enumerate(reached[z].nonzero()[0]):
            table[z, ..., i, :channels] = synapse.codes[:, tap[z, d]].transpose(3, 1, 2, 0)
    return table.reshape(*shape[:2], rows * columns, -1), starts
