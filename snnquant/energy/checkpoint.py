"""The workload of a checkpoint alone, without the run that it came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from snnquant.energy.operations import measure
from snnquant.energy.workload import to_workload
from snnquant.errors import InputError
from snnquant.sampling import Patches
from snnquant.scenes import load_scene
from snnquant.training import load_checkpoint

PIXELS = 1024
"""Labelled pixels of the scene, evenly spaced, that input densities are measured on."""


def write_workload(checkpoint: Path, scene: str, file: Path) -> None:
    """Write to `file` the workload of a quantized SNN's checkpoint on a scene.

    A checkpoint does not know which pixels were for testing, so densities are measured on all
    labelled ones; the first layer's price does not depend on them.
    Raises InputError for a checkpoint that cannot be read, is no quantized SNN or does not fit the
    scene, a scene that cannot be had, and a file that cannot be written.
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
    to_workload(name, activity, found.quantization, found.neuron.time_steps).to_json(file)
