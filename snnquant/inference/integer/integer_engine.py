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
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from snnquant.inference.integer.encoding import Coder
from snnquant.inference.integer.first_layers import BESIDE, AcrossTable
from snnquant.inference.integer.fixed_point_network import Integers
from snnquant.inference.integer.integer_layers import IntegerLayers
from snnquant.inference.integer.kernels import LISTS, Longs, Spikes, best_classes, window_sums
from snnquant.inference.integer.pixelwise import PointLayers, run_points
from snnquant.inference.integer.tile_form import pixels_of, places_of, room_for, until_settled
from snnquant.sampling import Normalisation

MEASURED_SIDE, MEASUREMENTS = 16, 3
"""Places per side on which the forms of a layer are timed, and how often."""


class IntegerNetwork(IntegerLayers):
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
        >>> from snnquant.spiking import LIF, SpikingNetwork
        >>> layers = {"conv": nn.Conv3d(1, 4, (3, 1, 1)), "lif": LIF(), "flatten": nn.Flatten()}
        >>> layers["classifier"] = nn.Linear(4 * 6, 3)
        >>> network = quantize(SpikingNetwork(layers, time_steps=2), QuantizationConfig())
        >>> IntegerNetwork(network, bands=8, window=1).classes(torch.zeros(1, 1, 8, 5, 4)).shape
        torch.Size([5, 4])
    """

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
        fixed, margins = self.fixed_point, self.margins
        if self._window != (1, 1):
            by_step = [self._sums(x, t, 1) for t in range(fixed.time_steps)]
            count = len(by_step[0])
            parts = [until_settled(fixed, margins, count, lambda t, active: by_step[t][active])]
        else:
            codes = self._codes[self._independent - 1]
            parts = []
            by_events = [False] * self._independent
            for spikes in self._spikes(x, self._independent, codes, by_events):
                count = math.prod(places_of(spikes.shape, self._rows[self._independent - 1]))
                sums_of = self._sums_of_steps(spikes, count)
                parts.append(until_settled(fixed, margins, count, sums_of))
        shape = self._shape(x)
        classes, steps_of = (np.concatenate(p).reshape(shape) for p in zip(*parts, strict=True))
        return torch.from_numpy(classes), torch.from_numpy(steps_of)

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
                shape = places_of(spikes.shape, self._rows[i - 1])
                times = []
                for _ in range(MEASUREMENTS):  # the first one may compile
                    begun = time.thread_time()
                    if i < len(self._rows):
                        out = room_for(shape, len(self._codes[i]), steps, LISTS)
                        self._later_layer(i, spikes, self._codes[i], out)
                    else:
                        self._class_sums(spikes)
                    times.append(time.thread_time() - begun)
                seconds.append(min(times))
            dense.append(seconds[-1] < seconds[0])
        return dense

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
        values, steps = pixels_of(x), self.fixed_point.time_steps
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
                out = room_for((len(active), 1, 1), len(self._codes[i]), 1, LISTS)
                own = state[active]
                self._layer(i, step, at, first, self._codes[i], own, out)
                state[active] = own
                step, at, first = out, np.arange(len(active)), 0
            return self._read_out(step, at, first, 1)

        return sums
