"""The deployed network: integer weights, spikes of 0 and 1, 32-bit sums, fixed-point neurons.

Values lie with the channels last, [T, N, H, W, depth * C], one byte each. A layer is a copy of its
windows into the rows of a matrix, a product of bytes summed in 32 bits (`torch._int_mm`: oneDNN's,
with VNNI where the processor has it) and the neurons, in blocks of positions that stay in cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.errors import InputError
from snnquant.inference.fixed_point import (
    INPUT_BITS,
    INPUT_LIMIT,
    Neurons,
    Synapse,
    to_fixed_point,
)
from snnquant.spiking import SpikingNetwork

try:
    from snnquant.inference.kernels import RESETS, gather, integrate_and_fire, join, split
except ModuleNotFoundError as error:
    raise InputError(
        "numba: not installed, expected the extra: pip install snnquant[integer]"
    ) from error

Bytes = NDArray[np.int8]
Sums = NDArray[np.int32]

BLOCK_BYTES = 1 << 19
"""Windows copied at a time: they and their sums stay in a core's second-level cache."""
_FEW = 16  # columns of a product below which the processor's registers are left half empty
_WORD = 4


class SynapticLayer:
    """A synapse as a matrix; where channels are few, two neighbours in depth share a row."""

    def __init__(self, synapse: Synapse) -> None:
        outputs, span, self.rows, self.columns, channels = synapse.codes.shape
        self.outputs: int = outputs
        self.depth = synapse.depth
        self.offset: int = synapse.padding * channels
        together = 2 if outputs <= _FEW and synapse.depth > 1 else 1
        self.groups = -(-synapse.depth // together)
        self.step: int = synapse.stride * together * channels
        # Copied by words: a row may be longer than the weights reach, which are 0 there.
        self.run: int = (span + synapse.stride * (together - 1)) * channels
        if self.groups > 1:
            self.run += -self.run % _WORD
        weight = np.zeros((self.rows, self.columns, self.run, together, outputs), np.int8)
        codes = synapse.codes.transpose(2, 3, 1, 4, 0).reshape(self.rows, self.columns, -1, outputs)
        for i in range(together):
            start = i * synapse.stride * channels
            weight[:, :, start : start + span * channels, i] = codes
        self.weight = torch.from_numpy(weight.reshape(-1, together * outputs))

    def room(self, length: int) -> int:
        """Values of a place that `sums` reads, of which `length` from `offset` on are not 0."""
        needed = max(self.offset + length, (self.groups - 1) * self.step + self.run)
        return needed + (-needed % _WORD if self.groups > 1 else 0)

    def places(self, values: Bytes) -> tuple[int, int, int]:
        """Samples, rows and columns of the layer's outputs for values [T, N, H, W, ...]."""
        _, samples, height, width, _ = values.shape
        return samples, height - self.rows + 1, width - self.columns + 1

    def sums(self, values: Bytes, positions: NDArray[np.int64]) -> Sums:
        """Sums of weights [T, P, depth * K or more] at positions [P] of values with `room`."""
        steps = len(values)
        windows = np.empty((steps, len(positions), self.groups, len(self.weight)), np.int8)
        word = math.gcd(self.run, self.step, values.shape[-1], 8)
        kernel, dtype = (self.rows, self.columns), f"i{word}"
        gather(values.view(dtype), positions, kernel, self.step // word, windows.view(dtype))
        product = torch._int_mm(torch.from_numpy(windows).view(-1, len(self.weight)), self.weight)
        sums: Sums = product.numpy().reshape(steps, len(positions), -1)
        return sums


def in_halves(synapse: Synapse) -> Synapse:
    """The synapse for codes of 16 bits as two channels, of their lower and of their upper bytes.

    It sums them apart: K sums of lower bytes, then K of upper ones.
    """
    codes = np.zeros((2, *synapse.codes.shape[:-1], 2 * synapse.codes.shape[-1]), np.int32)
    for half in range(2):
        codes[half, ..., half::2] = synapse.codes
    return replace(synapse, codes=codes.reshape(-1, *codes.shape[2:]))


class NeuronLayer:
    """Neurons of every depth of a place; a state is their potentials [P, depth * K].

    The `first` layer's sums are those of the network's input, see `in_halves`.
    """

    def __init__(self, neurons: Neurons, depth: int, *, first: bool) -> None:
        factor = (1 << neurons.shift).astype(np.int32)
        self.factor, self.bias = np.tile(factor, depth), np.tile(neurons.bias, depth)
        self.threshold = np.tile(neurons.threshold, depth)
        self.start = np.tile(neurons.start, depth)
        self.channels, self.length = len(neurons.start), len(self.start)
        self.leak, self.reset, self.first = neurons.leak, RESETS[neurons.reset], first

    def state(self, places: int) -> NDArray[np.int32]:
        """Potentials before the first step."""
        return np.broadcast_to(self.start, (places, self.length)).copy()

    def run(
        self, sums: Sums, state: Sums, spikes: Bytes, first_place: int, first_value: int
    ) -> None:
        """Run the steps of spikes [T, P, room], of which places and values are written in part.

        One step of sums is that of the input's halves, and stands for all steps.
        """
        if self.first:
            halves, sums = sums, np.empty((1, *state.shape), np.int32)
            join(halves, self.channels, sums)
        integrate_and_fire(
            sums,
            self.factor,
            self.bias,
            self.threshold,
            self.leak,
            self.reset,
            state,
            spikes,
            first_place,
            first_value,
        )


@dataclass(frozen=True)
class Layer:
    """A synapse and its neurons, and the synapse that reads their spikes."""

    synapse: SynapticLayer
    neurons: NeuronLayer
    reader: SynapticLayer

    def all_steps(self, values: Bytes, time_steps: int) -> Bytes:
        """Spikes [T, N, h, w, room of the reader] of values [T, ...], in blocks of positions."""
        places = self.synapse.places(values)
        total = math.prod(places)
        spikes = np.zeros((time_steps, total, self.reader.room(self.neurons.length)), np.int8)
        row = len(values) * self.synapse.groups * len(self.synapse.weight)
        block = max(1, BLOCK_BYTES // row)
        for start in range(0, total, block):
            positions = np.arange(start, min(start + block, total))
            sums = self.synapse.sums(values, positions)
            state = self.neurons.state(len(positions))
            self.neurons.run(sums, state, spikes, start, self.reader.offset)
        return spikes.reshape(time_steps, *places, -1)

    def one_step(self, values: Bytes, positions: NDArray[np.int64], state: Sums) -> Bytes:
        """Spikes [1, P, 1, 1, room of the reader] of a step at positions [P], whose state moves."""
        spikes = np.zeros((1, len(positions), self.reader.room(self.neurons.length)), np.int8)
        self.neurons.run(self.synapse.sums(values, positions), state, spikes, 0, self.reader.offset)
        return spikes.reshape(1, len(positions), 1, 1, -1)


class IntegerNetwork:
    """Runs a quantized `SpikingNetwork` as the integers of `to_fixed_point`, for tiles.

    With `margins` [T] a pixel stops after the first step whose two best logits lie further apart
    than that step's margin. Raises `InputError` where `to_fixed_point` does.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        bands: int,
        window: int,
        margins: Sequence[float] | None = None,
    ) -> None:
        self.fixed_point = to_fixed_point(network, bands, window)
        self.margins = margins
        first, *others = self.fixed_point.synapses
        synapses = [SynapticLayer(synapse) for synapse in (in_halves(first), *others)]
        self.readout = synapses[-1]
        self.layers = [
            Layer(
                synapse, NeuronLayer(neurons, synapse.depth, first=synapse is synapses[0]), reader
            )
            for synapse, neurons, reader in zip(
                synapses, self.fixed_point.neurons, synapses[1:], strict=False
            )
        ]
        # From the last layer that looks around on, a pixel is by itself and can stop alone.
        around = [i for i, synapse in enumerate(synapses) if synapse.rows * synapse.columns > 1]
        self._alone = max([1, *around])

    def classes(self, tile: Tensor) -> Tensor:
        """Class numbers from 0, [h, w], of a normalised tile; a `Classifier`."""
        if self.margins is not None:
            return self.classes_and_steps(tile)[0][0]
        return torch.from_numpy(self.logits(tile)[0].argmax(-1))

    def spikes(self, x: Tensor, layers: int | None = None) -> list[Bytes]:
        """Spikes [T, N, h, w, depth * K or more] of the first layers for tiles [N, 1, B, h, w]."""
        samples, _, bands, height, width = x.shape
        pixels = x[:, 0].flatten(2).transpose(1, 2).contiguous().view(-1, bands).numpy()
        synapse = self.layers[0].synapse
        values = np.zeros((len(pixels), synapse.room(2 * bands)), np.int8)
        split(pixels, 2.0**INPUT_BITS, INPUT_LIMIT, values[:, synapse.offset :].view("<i2"))
        values = values.reshape(1, samples, height, width, -1)
        outputs = []
        for layer in self.layers[:layers]:
            values = layer.all_steps(values, self.fixed_point.time_steps)
            outputs.append(values)
        return outputs

    def logits(self, x: Tensor) -> Sums:
        """Whole numbers [N, h', w', classes] for tiles [N, 1, B, h, w]: logits over `unit`."""
        spikes = self.spikes(x)[-1]
        # At most T spikes a neuron: a count fits into a byte, and only the counts matter.
        counts = spikes.sum(0, dtype=np.int8, keepdims=True)
        places = self.readout.places(counts)
        sums = self.readout.sums(counts, np.arange(math.prod(places)))[0]
        fixed = self.fixed_point
        logits: Sums = sums[:, : self.readout.outputs] * fixed.multiplier + fixed.output_bias
        return logits.reshape(*places, -1)

    def classes_and_steps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Classes from 0 and the steps they took, both [N, h', w'], for tiles [N, 1, B, h, w]."""
        values = self.spikes(x, self._alone)[-1]
        alone = self.layers[self._alone :]
        entrance = alone[0].synapse if alone else self.readout
        places = entrance.places(values)
        classes = np.empty(math.prod(places), np.int64)
        steps = np.empty_like(classes)
        block = max(1, BLOCK_BYTES // (entrance.groups * len(entrance.weight)))
        for start in range(0, len(classes), block):
            part = slice(start, start + block)
            positions = np.arange(len(classes))[part]
            classes[part], steps[part] = self._until_settled(alone, values, positions)
        return torch.from_numpy(classes).view(places), torch.from_numpy(steps).view(places)

    def _until_settled(
        self, alone: list[Layer], values: Bytes, positions: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Classes and steps of some positions, in which fewer and fewer pixels go on."""
        fixed, count = self.fixed_point, len(positions)
        classes, steps = np.empty(count, np.int64), np.empty(count, np.int64)
        going = np.arange(count)
        states = [layer.neurons.state(count) for layer in alone]
        sums = np.zeros((count, self.readout.outputs), np.int32)
        for t in range(fixed.time_steps):
            if not len(going):
                break
            step, at = values[t : t + 1], positions[going]
            for layer, state in zip(alone, states, strict=True):
                step, at = layer.one_step(step, at, state), np.arange(len(going))
            sums += self.readout.sums(step, at)[0][:, : self.readout.outputs]
            mean = sums * (fixed.multiplier * (fixed.time_steps / (t + 1))) + fixed.output_bias
            best = np.partition(mean, -2, axis=1)[:, -2:]
            margin = self.margins[t] if self.margins and t + 1 < fixed.time_steps else -np.inf
            settled = (best[:, 1] - best[:, 0]) * fixed.unit > margin
            classes[going[settled]] = mean[settled].argmax(1)
            steps[going[settled]] = t + 1
            going, sums = going[~settled], sums[~settled]
            states = [state[~settled] for state in states]
        return classes, steps
