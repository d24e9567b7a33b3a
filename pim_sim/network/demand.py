"""Demands of a layer in its network: bits and neurons of its outputs, values that it touches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pim_sim.workload import Layer, Workload, ceil_div

MEMBRANE_BITS = 16
"""Bits of a membrane where the workload states none."""


@dataclass(frozen=True)
class Demand:
    """A layer with what its network needs of its outputs."""

    layer: Layer
    output_bits: int
    """Bits of an output value as the next layer takes it."""
    membrane_bits: int
    """Bits of a neuron's membrane; 0 without neurons."""
    of_pixels: bool = False
    """True for the first layer of a network, where its inputs are no spikes."""

    @property
    def sum_bits(self) -> int:
        """Bits of a sum wide enough for ``fan_in`` products, and for all steps that it integrates.

        A product with a spike has the bits of the weight.
        """
        layer = self.layer
        product = layer.weight_bits + (0 if layer.of_spikes else layer.input_bits)
        summed = layer.fan_in * (layer.applications if self.integrates else 1)
        return product + (summed - 1).bit_length()

    @property
    def integrates(self) -> bool:
        """True for sums that run over all steps, as those of a readout without neurons do."""
        return self.layer.applications > 1 and not self.membrane_bits

    @property
    def updates(self) -> int:
        """Updates of neurons per pixel."""
        return self.layer.outputs * self.layer.time_steps if self.membrane_bits else 0

    @property
    def written_outputs(self) -> int:
        """Output values per pixel."""
        return self.updates or self.layer.outputs

    @property
    def kept_bits(self) -> int:
        """Bits of inputs and outputs of one application, which the activation buffer keeps."""
        layer = self.layer
        return layer.inputs * layer.input_bits + layer.outputs * self.output_bits

    def touched(self, taps: Any, positions: Any) -> Any:
        """Return the distinct input values, of one group, behind products of one output.

        Args:
            taps: products of one sum, the channels' kernels one after another.
            positions: output positions, the last axis first.
        """
        layer = self.layer
        kernel = layer.fan_in // layer.weight_shape[1]
        channels: Any = ceil_div(taps, kernel)
        left, values = positions, 1
        axes = zip(
            layer.input_shape[1:], layer.output_shape[1:], layer.weight_shape[2:],
            layer.stride, layer.dilation, strict=True,
        )  # fmt: skip
        for size, outputs, taps_of_axis, stride, dilation in reversed(list(axes)):
            here = np.minimum(left, outputs)
            reach = (here - 1) * stride + dilation * (taps_of_axis - 1) + 1
            values = values * np.minimum(np.minimum(size, reach), here * taps_of_axis)
            left = ceil_div(left, outputs)
        return np.minimum(taps * positions, channels * values)

    def lines_bits(self, taps: Any) -> Any:
        """Return the bits of a line buffer from which every value is served once."""
        layer = self.layer
        kernel = layer.fan_in // layer.weight_shape[1]
        channels: Any = ceil_div(taps, kernel)
        steps = layer.applications if layer.of_spikes else 1
        if layer.kind == "linear":
            return channels * layer.input_bits * steps
        rest = int(np.prod(layer.input_shape[2:]))
        reach = layer.dilation[0] * (layer.weight_shape[2] - 1) + 1
        return channels * reach * rest * layer.input_bits * steps


def demands(workload: Workload) -> list[Demand]:
    """Return the demands of the layers of a workload, first layer first.

    Outputs have the bits of the next layer's inputs; the last ones those of their sums. Neurons
    follow a layer where the next one takes spikes, unless the workload says otherwise.
    """
    found = []
    for layer, following in zip(workload.layers, [*workload.layers[1:], None], strict=True):
        to_spikes = following is not None and following.of_spikes
        bits = layer.membrane_bits
        if bits is None:
            bits = MEMBRANE_BITS if to_spikes else 0
        pixels = layer is workload.layers[0] and not layer.of_spikes
        demand = Demand(layer, following.input_bits if following else 1, bits, pixels)
        found.append(demand if following else replace(demand, output_bits=demand.sum_bits))
    return found
