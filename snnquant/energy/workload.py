"""What pim_sim is told about a network, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pim_sim import Hardware, Report, load_hardware, simulate
from pim_sim import InputError as PimInputError
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


def find_hardware(name: str) -> Hardware:
    """The in-memory hardware of a name or TOML file; InputError where it cannot be had."""
    try:
        return load_hardware(name)
    except PimInputError as error:
        raise InputError(f"--hardware: {error}") from None


def price_first_layer(workload: Workload, hardware: str, file: Path) -> Report:
    """Write the workload to `file` and simulate its first layer, digital and in memory.

    Raises InputError where the hardware cannot be had or the file cannot be written.
    """
    found = find_hardware(hardware)
    try:
        workload.to_json(file)
        return simulate(workload, found)
    except PimInputError as error:
        raise InputError(str(error)) from None
