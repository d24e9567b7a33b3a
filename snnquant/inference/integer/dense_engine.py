"""Quantized networks of any wiring in integers: the event-driven engine, or layers run densely."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.errors import InputError
from snnquant.inference.integer.fixed_point_graph import FixedPointGraph, to_fixed_point_graph
from snnquant.inference.integer.fixed_point_network import Integers
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.inference.integer.tile_form import TileForm
from snnquant.sampling import PixelGrid
from snnquant.spiking import SpikingNetwork

VALUES_AT_ONCE = 2**22
"""Values of the largest layer that patches and steps that run together have."""


class DenseIntegerNetwork(TileForm):
    """A quantized `SpikingNetwork` of any wiring as whole numbers, patch by patch.

    Layers are those of torch on whole numbers in float32 where sums stay below 2^24, else in
    float64, and so are exact; all sums stay below 2^31.

    Args:
        network: A quantized SNN of LIF neurons.
        bands: Values per pixel of its input.
        window: Side of its patches, in pixels.
        margins: As for `IntegerNetwork`.
        grid: Grid that its input lies on; None for floating point, which is rounded to 16 bits.

    Raises:
        InputError: Where `to_fixed_point_graph` does.

    Example:
        >>> from torch import nn
        >>> from snnquant.config import QuantizationConfig
        >>> from snnquant.quantization import quantize
        >>> from snnquant.spiking import LIF
        >>> layers = {"conv": nn.Conv3d(1, 4, (3, 1, 1)), "lif": LIF(), "flatten": nn.Flatten()}
        >>> layers["pool"] = nn.Unflatten(1, (4, 6))
        >>> layers |= {"max": nn.MaxPool1d(2), "again": nn.Flatten(), "fc": nn.Linear(12, 3)}
        >>> network = quantize(SpikingNetwork(layers, time_steps=2), QuantizationConfig())
        >>> engine = DenseIntegerNetwork(network, bands=8, window=1)
        >>> engine.classes(torch.zeros(1, 1, 8, 5, 4)).shape
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
        self.fixed_point: FixedPointGraph = to_fixed_point_graph(network, bands, window, grid)
        self.margins = margins
        self.window = window

    def logits(self, x: Tensor) -> Integers:
        """Return integers [N, h', w', classes] for tiles [N, 1, B, h, w]: logits over `unit`."""
        fixed = self.fixed_point
        totals = np.concatenate([sums.sum(0) for sums in self._outputs(x)])
        logits: Integers = (totals * fixed.multiplier + fixed.output_bias).astype(np.int32)
        return logits.reshape(*self._places(x), -1)

    def classes_and_steps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return classes from 0 and their steps, both [N, h', w'], for tiles [N, 1, B, h, w]."""
        fixed = self.fixed_point
        totals = np.concatenate([sums.cumsum(0) for sums in self._outputs(x)], axis=1)
        classes = np.zeros(totals.shape[1], np.int64)
        steps = np.zeros_like(classes)
        for t in reversed(range(fixed.time_steps)):
            mean = totals[t] * (fixed.multiplier * (fixed.time_steps / (t + 1)))
            mean = mean + fixed.output_bias
            best = np.partition(mean, -2, axis=1)[:, -2:]
            margin = self.margins[t] if self.margins and t + 1 < fixed.time_steps else -np.inf
            settled = (best[:, 1] - best[:, 0]) * fixed.unit > margin
            classes[settled], steps[settled] = mean[settled].argmax(1), t + 1
        places = self._places(x)
        return torch.from_numpy(classes.reshape(places)), torch.from_numpy(steps.reshape(places))

    def _places(self, x: Tensor) -> tuple[int, int, int]:
        return len(x), x.shape[3] - self.window + 1, x.shape[4] - self.window + 1

    def _outputs(self, x: Tensor) -> Iterator[NDArray[np.int64]]:
        """Yield whole sums of the classes [T, P, K] of some patches after others."""
        windows = x.unfold(3, self.window, 1).unfold(4, self.window, 1).permute(0, 3, 4, 1, 2, 5, 6)
        fixed = self.fixed_point
        at_once = max(1, VALUES_AT_ONCE // (fixed.largest * fixed.time_steps))
        places = torch.cartesian_prod(*(torch.arange(n) for n in self._places(x)))
        for part in torch.split(places, at_once):
            yield fixed.outputs(windows[tuple(part.T)]).long().numpy()


def integer_engine(
    network: SpikingNetwork,
    bands: int,
    window: int,
    margins: Sequence[float] | None = None,
    *,
    grid: PixelGrid | None = None,
) -> IntegerNetwork | DenseIntegerNetwork:
    """Return the event-driven engine of a network, or the dense one where it is no chain.

    Args:
        network: A quantized SNN of LIF neurons.
        bands: Values per pixel of its input.
        window: Side of its patches, in pixels.
        margins: As for `IntegerNetwork`.
        grid: Grid that its input lies on; None for floating point.

    Raises:
        InputError: The network has no integer form; the line names the layer.
    """
    try:
        return IntegerNetwork(network, bands, window, margins, grid=grid)
    except InputError:
        return DenseIntegerNetwork(network, bands, window, margins, grid=grid)
