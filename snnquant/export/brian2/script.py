"""Networks as a script that simulates their LIF layers in Brian2, and its data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from snnquant.export import NO_FACTS
from snnquant.export.brian2.connectivity import OUTPUT, constant_currents, synapses
from snnquant.export.common import check_source_name, frozen, identifiers, sample_shapes
from snnquant.io import replacing
from snnquant.sampling import Normalisation
from snnquant.spiking import LIF

SCRIPT = Path(__file__).with_name("brian2_simulation.py")
"""It is the same for every network: what differs is data."""


def write_brian2(
    network: nn.Module,
    example: Tensor,
    path: Path,
    *,
    normalisation: Normalisation | None = None,
    facts: Mapping[str, str] = NO_FACTS,
) -> None:
    """Write the script `path`, which ends in .py, and its data, of the same name ending in .npz.

    The data are `to_brian2`'s for the pixels `example`, which are standardised already, so that
    `normalisation` is not needed. Raises InputError for another ending, a name that hides a package
    from the script, and where `to_brian2` does.
    """
    check_source_name(path, "brian2", "numpy")
    data = to_brian2(network, example)
    if "class_names" in facts:
        data["classes"] = np.array(json.loads(facts["class_names"]))
    with replacing(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **data)
    with replacing(path) as temporary:
        temporary.write_bytes(SCRIPT.read_bytes())


def to_brian2(network: nn.Module, example: Tensor) -> dict[str, Any]:
    """The arrays that `brian2_simulation.simulate` takes, in float64, for patches [N, ...].

    LIF layers have numbers in their order, and the output the next one. Convolutions are written
    out as synapses. Raises InputError for a CNN and where `synapses` does.
    """
    double = frozen(network, "brian2").double()
    shapes = sample_shapes(double, example.double())
    between = synapses(double, shapes)
    currents = constant_currents(double, example.double())
    neurons = {n: layer for n, layer in double.layers.named_children() if isinstance(layer, LIF)}
    number = {name: k for k, name in enumerate([*neurons, OUTPUT])}
    data: dict[str, Any] = {
        "time_steps": double.time_steps,
        "layers": np.array(list(identifiers(neurons).values())),
        "leak": np.array([layer.leak.item() for layer in neurons.values()]),
        "threshold": np.array([layer.threshold.item() for layer in neurons.values()]),
        "start": np.array([layer.initial * layer.threshold.item() for layer in neurons.values()]),
        "reset": np.array([layer.reset for layer in neurons.values()]),
        "connections": np.array([[number[name] for name in pair] for pair in between]),
        "classes": np.arange(currents[OUTPUT].shape[1]),
    }
    data |= {f"current_{number[name]}": current.numpy() for name, current in currents.items()}
    for j, matrix in enumerate(between.values()):
        entries = matrix.tocoo()
        data |= {f"pre_{j}": entries.col, f"post_{j}": entries.row, f"weight_{j}": entries.data}
    return data
