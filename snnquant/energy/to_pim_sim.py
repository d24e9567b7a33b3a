"""Networks as workloads of pim_sim, and the price of their first layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pim_sim import Hardware, Report, load_hardware, simulate
from pim_sim.workload import Layer, Workload
from snnquant.checkpoints import load_checkpoint
from snnquant.config import MethodConfig
from snnquant.energy.counts import LayerActivity, measure
from snnquant.errors import InputError
from snnquant.sampling import Patches
from snnquant.scenes import load_scene
from snnquant.spiking import FLOATING

PIXEL_BITS = 8
"""Bits at the converter of the first layer where pixels are in floating point, an assumption."""


def to_workload(
    name: str,
    activity: Sequence[LayerActivity],
    quantization: MethodConfig,
    time_steps: int,
    pixel_bits: int = 32,
    potential_bits: int = FLOATING,
) -> Workload:
    """Describe the layers of a quantized SNN, with their measured input densities, for pim_sim.

    Args:
        name: Name of the workload, such as scene and model.
        activity: Layers, as `measure` returns them.
        quantization: Bits per weight of layers in floating point.
        time_steps: Time steps T per classification.
        pixel_bits: Bits per value of a pixel that the network receives; 32 for floating point,
            which is converted to `PIXEL_BITS`.
        potential_bits: Bits of a potential, where they are fewer than 32, of the neurons before
            every layer that takes spikes; 32 leaves the membranes' bits to pim_sim.

    Returns:
        One entry per layer.
    """
    analog = PIXEL_BITS if pixel_bits == 32 else pixel_bits
    layers = [_layer(layer, quantization.bits, analog, time_steps) for layer in activity]
    if potential_bits != FLOATING:
        driven = [*(row.spiking for row in activity[1:]), False]
        layers = [
            replace(layer, membrane_bits=potential_bits if spikes else None)
            for layer, spikes in zip(layers, driven, strict=True)
        ]
    return Workload(name=name, layers=tuple(layers))


def _layer(layer: LayerActivity, bits: int, analog_bits: int, time_steps: int) -> Layer:
    info = layer.info
    return Layer(
        name=info.name.removeprefix("layers."),
        kind=info.kind,  # type: ignore[arg-type]
        input_shape=info.input_shape,
        weight_shape=info.weight_shape,
        stride=info.stride,
        padding=info.padding,
        weight_bits=layer.bits or bits,
        input_bits=1 if layer.spiking else analog_bits,
        signed=True,
        time_steps=time_steps,
        input_density=layer.input_density,
        repeats_input=not layer.spiking and not layer.changing,
        groups=info.groups,
        dilation=info.dilation,
        input_mean=layer.input_mean,
        accumulates=layer.ac if layer.spiking else None,
        active_share=layer.active_share,
        fetched=layer.fetched,
    )


def to_cnn_workload(
    name: str, activity: Sequence[LayerActivity], quantization: MethodConfig | None
) -> Workload:
    """Describe the layers of a CNN, with their measured input densities, for pim_sim.

    Args:
        name: Name of the workload, such as scene and model.
        activity: Layers, as `measure` returns them.
        quantization: Bits per weight of layers in floating point, whose inputs are taken with
            `PIXEL_BITS`; None for a CNN whose weights and activations all have 32 bits.

    Returns:
        One entry per layer, none with neurons, whatever the bits of its inputs.

    >>> from snnquant.nn import LayerInfo
    >>> info = LayerInfo("dense", "linear", (4,), (2, 4), (2,), (), (), 8)
    >>> layer = LayerActivity(info, False, 0.5, 8.0, 0.0, 0.0)
    >>> to_cnn_workload("cnn", [layer], None).layers[0].input_bits
    32
    """
    layers = []
    for row in activity:
        layer = _layer(row, 32 if quantization is None else quantization.bits, PIXEL_BITS, 1)
        bits = PIXEL_BITS if row.input.floating else row.input.bits
        if quantization is None:
            layer, bits = replace(layer, weight_bits=32), 32
        layers.append(replace(layer, input_bits=bits, membrane_bits=0))
    return Workload(name=name, layers=tuple(layers))


def write_cnn_workloads(
    name: str,
    folder: Path,
    quantization: MethodConfig | None,
    quantized: Sequence[LayerActivity] | None,
    floating: Sequence[LayerActivity] | None,
) -> None:
    """Write the workloads of the CNNs of a run beside that of its SNN, for `pim-sim run`.

    Args:
        name: Name of the workloads, such as scene and model.
        folder: Run directory.
        quantization: Bits per weight of the quantized CNN's layers in floating point.
        quantized: Layers of the quantized CNN, as `measure` returns them; None where it is missing.
            Activations in floating point are taken with `PIXEL_BITS`.
        floating: Layers of the CNN, whose weights and activations have 32 bits.

    Raises:
        InputError: For a file that cannot be written.
    """
    if quantization is None:
        return
    if quantized is not None:
        workload = to_cnn_workload(name, quantized, quantization)
        workload.to_json(folder / "workload_cnn_quantized.json")
    if floating is not None:
        to_cnn_workload(name, floating, None).to_json(folder / "workload_cnn.json")


def find_hardware(name: str) -> Hardware:
    """Read the in-memory hardware of a name or TOML file; raise InputError if that fails."""
    try:
        return load_hardware(name)
    except InputError as error:
        raise InputError(f"--hardware: {error}") from None


def price_first_layer(workload: Workload, hardware: str, file: Path) -> Report:
    """Write the workload to `file` and simulate its first layer, digital and in memory.

    Raises InputError if the hardware cannot be read or the file cannot be written.
    """
    found = find_hardware(hardware)
    workload.to_json(file)
    return simulate(workload, found)


PIXELS = 1024
"""Labelled pixels of the scene, evenly spaced, on which input densities are measured."""


def write_workload(checkpoint: Path, scene: str, file: Path) -> None:
    """Write to `file` the workload of a quantized SNN's checkpoint on a scene.

    A checkpoint does not record the test pixels, so densities are measured on all labelled ones;
    the price of the first layer depends on them by the zeros around the edge of the scene only.

    Args:
        checkpoint: Checkpoint of a quantized SNN, such as a run's snn.safetensors.
        scene: Name of the scene, as `load_scene` takes it.
        file: JSON file to write.

    Raises:
        InputError: For a checkpoint that cannot be read, is no quantized SNN or does not fit the
            scene, for a scene that cannot be loaded, and for a file that cannot be written.
    """
    found = load_checkpoint(checkpoint)
    if found.neuron is None or found.quantization is None:
        what = "an SNN with weights in floating point" if found.neuron else "a CNN"
        raise InputError(f"{checkpoint}: found {what}, expected a quantized SNN (snn.safetensors)")
    cube = load_scene(scene)
    if cube.bands != found.bands:
        expected = f"a scene of its {found.bands} bands"
        raise InputError(f"{checkpoint}: found {cube.bands} bands in {scene}, expected {expected}")
    patches = Patches(cube.cube, found.model.window, found.normalisation)
    labelled = np.flatnonzero(cube.labels)
    chosen = np.unique(np.linspace(0, len(labelled) - 1, PIXELS).astype(np.int64))
    activity = measure(found.network, patches, torch.from_numpy(labelled[chosen]))
    name = f"{cube.name} {found.model.name}"
    bits, neuron = found.normalisation.bits, found.neuron
    widths = (neuron.time_steps, bits, neuron.potential_bits)
    to_workload(name, activity, found.quantization, *widths).to_json(file)
