"""What pim_sim is told about a network."""

from __future__ import annotations

from collections.abc import Sequence

from pim_sim.workload import Layer, Workload
from snnquant.config import QuantizationConfig
from snnquant.energy.operations import LayerActivity

PIXEL_BITS = 8
"""Bits of an analog pixel value at the converter that feeds the first layer: ours to declare.

The network itself sees pixels in floating point."""


def to_workload(
    name: str,
    activity: Sequence[LayerActivity],
    quantization: QuantizationConfig,
    time_steps: int,
) -> Workload:
    """The layers of a quantized SNN with their measured input densities."""
    layers = tuple(
        Layer(
            name=layer.info.name.removeprefix("layers."),
            kind=layer.info.kind,  # type: ignore[arg-type]
            input_shape=layer.info.input_shape,
            weight_shape=layer.info.weight_shape,
            stride=layer.info.stride,
            padding=layer.info.padding,
            weight_bits=quantization.bits,
            input_bits=1 if layer.spiking else PIXEL_BITS,
            signed=True,
            time_steps=time_steps,
            input_density=layer.input_density,
            repeats_input=not layer.spiking,
        )
        for layer in activity
    )
    return Workload(name=name, layers=layers)
