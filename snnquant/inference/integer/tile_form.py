"""Parts that the integer engines share: logits of tiles, room for spikes, early exit."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.inference.integer.first_layers import AcrossTable, FirstLayerTable
from snnquant.inference.integer.fixed_point_graph import FixedPointGraph
from snnquant.inference.integer.fixed_point_network import FixedPointNetwork, Integers
from snnquant.inference.integer.kernels import COUNTS, LISTS, ROWS, Longs, Spikes, WeightRows
from snnquant.inference.integer.vectors import LANES
from snnquant.sampling import Normalisation


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


def until_settled(
    fixed: FixedPointNetwork,
    margins: Sequence[float] | None,
    count: int,
    sums_of: Callable[[int, Longs], Integers],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return classes and steps of all positions, dropping each when it is settled.

    `sums_of` returns the sums of a step [P, K] at positions [P].
    """
    classes, steps = np.empty(count, np.int64), np.empty(count, np.int64)
    active = np.arange(count)
    sums = np.zeros((count, len(fixed.multiplier)), np.int32)
    for t in range(fixed.time_steps):
        if not len(active):
            break
        sums += sums_of(t, active)
        mean = sums * (fixed.multiplier * (fixed.time_steps / (t + 1))) + fixed.output_bias
        best = np.partition(mean, -2, axis=1)[:, -2:]
        margin = margins[t] if margins and t + 1 < fixed.time_steps else -np.inf
        settled = (best[:, 1] - best[:, 0]) * fixed.unit > margin
        classes[active[settled]] = mean[settled].argmax(1)
        steps[active[settled]] = t + 1
        active, sums = active[~settled], sums[~settled]
    return classes, steps


def pixels_of(x: Tensor) -> NDArray[np.float32]:
    """Return the pixels [N, h, w, B] of tiles [N, 1, B, h, w], whose bands lie side by side."""
    values: NDArray[np.float32] = x[:, 0].permute(0, 2, 3, 1).numpy()
    return values if values.strides[-1] == values.itemsize else np.ascontiguousarray(values)


def places_of(
    shape: tuple[int, int, int], kernel: FirstLayerTable | AcrossTable | WeightRows
) -> tuple[int, int, int]:
    """Return the positions of a window in tiles [N, H, W]."""
    samples, height, width = shape
    return samples, height - kernel.rows + 1, width - kernel.columns + 1


def room_for(shape: tuple[int, int, int], neurons: int, steps: int, form: int) -> Spikes:
    """Allocate room for all neurons to spike in all steps; untouched pages take no memory."""
    places, lists = math.prod(shape), form == LISTS
    events = np.empty((places * steps * neurons + LANES) * lists, np.int32)
    bounds = np.empty(places * steps * lists + 1, np.int64)
    rows = np.empty(places * neurons * {LISTS: 0, ROWS: steps, COUNTS: 1}[form], np.uint8)
    return Spikes(form, events, bounds, rows, shape, steps)
