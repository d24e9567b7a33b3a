"""What pim_sim is told about a network, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pim_sim import Hardware, Report, load_hardware, simulate
from pim_sim.workload import Layer, Workload
from snnquant.config import QuantizationConfig
from snnquant.energy.operations import LayerActivity
from snnquant.errors import InputError

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
    layers = tuple(_layer(layer, quantization.bits, time_steps) for layer in activity)
    return Workload(name=name, layers=layers)


def _layer(layer: LayerActivity, bits: int, time_steps: int) -> Layer:
    """A layer in pim_sim's terms, which knows a 1-D convolution as a 2-D one of one column."""
    info, line = layer.info, layer.info.kind == "conv1d"
    one, nothing = ((1,), (0,)) if line else ((), ())
    return Layer(
        name=info.name.removeprefix("layers."),
        kind="conv2d" if line else info.kind,  # type: ignore[arg-type]
        input_shape=info.input_shape + one,
        weight_shape=info.weight_shape + one,
        stride=info.stride + one,
        padding=info.padding + nothing,
        weight_bits=bits,
        input_bits=1 if layer.spiking else PIXEL_BITS,
        signed=True,
        time_steps=time_steps,
        input_density=layer.input_density,
        repeats_input=not layer.spiking and not layer.changing,
    )


def find_hardware(name: str) -> Hardware:
    """The in-memory hardware of a name or TOML file; InputError where it cannot be had."""
    try:
        return load_hardware(name)
    except InputError as error:
        raise InputError(f"--hardware: {error}") from None


def price_first_layer(workload: Workload, hardware: str, file: Path) -> Report:
    """Write the workload to `file` and simulate its first layer, digital and in memory.

    Raises InputError where the hardware cannot be had or the file cannot be written.
    """
    found = find_hardware(hardware)
    workload.to_json(file)
    return simulate(workload, found)
