"""Networks as a script that simulates their LIF layers in Brian2, and its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from snnquant.exporters import ExportRequest
from snnquant.exporters.brian2.connectivity import OUTPUT, constant_currents, synapses
from snnquant.exporters.preparation import check_source_name, frozen, identifiers, sample_shapes
from snnquant.io import replacing
from snnquant.spiking import LIF, Reset, unknown_reset

SCRIPT = Path(__file__).with_name("simulation.py")
"""The script, the same for every network: only the data differ."""
RESETS = {Reset.DELAYED: "o = 1", Reset.SAME_STEP: "v -= V", Reset.ZERO: "v = 0"}
"""Brian2's statement for a spike; o takes the threshold off in the next step."""


def write_brian2(request: ExportRequest, path: Path) -> None:
    """Write the script `path`, which ends in .py, and its data, of the same name ending in .npz.

    The data are `to_brian2`'s; the example pixels are standardised already, so that the
    normalisation is not needed. Raises InputError for another ending, a name that hides a package
    from the script, and where `to_brian2` does.
    """
    check_source_name(path, "brian2", "numpy")
    data = to_brian2(request)
    if "class_names" in request.metadata:
        data["classes"] = np.array(json.loads(request.metadata["class_names"]))
    with replacing(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **data)
    with replacing(path) as temporary:
        temporary.write_bytes(SCRIPT.read_bytes())


def to_brian2(request: ExportRequest) -> dict[str, Any]:
    """Return the arrays that `simulate` of the script takes, in float64, for the example patches.

    LIF layers have numbers in their order, and the output the next one. Convolutions are expanded
    into synapses. Raises InputError for a CNN, for neurons other than `LIF` and where `synapses`
    does.
    """
    double, example = frozen(request.network, "brian2").double(), request.example.double()
    shapes = sample_shapes(double, example)
    between = synapses(double, shapes)
    currents = constant_currents(double, example)
    neurons = {n: layer for n, layer in double.layers.named_children() if isinstance(layer, LIF)}
    number = {name: k for k, name in enumerate([*neurons, OUTPUT])}
    data: dict[str, Any] = {
        "time_steps": double.time_steps,
        "layers": np.array(list(identifiers(neurons).values())),
        "leak": np.array([layer.constants().leak.item() for layer in neurons.values()]),
        "threshold": np.array([layer.threshold.item() for layer in neurons.values()]),
        "start": np.array([layer.initial * layer.threshold.item() for layer in neurons.values()]),
        "reset": np.array([_statement(layer.reset) for layer in neurons.values()]),
        "connections": np.array([[number[name] for name in pair] for pair in between]),
        "classes": np.arange(currents[OUTPUT].shape[1]),
    }
    data |= {f"current_{number[name]}": current.numpy() for name, current in currents.items()}
    for j, matrix in enumerate(between.values()):
        entries = matrix.tocoo()
        data |= {f"pre_{j}": entries.col, f"post_{j}": entries.row, f"weight_{j}": entries.data}
    return data


def _statement(reset: Reset) -> str:
    if reset not in RESETS:
        raise unknown_reset(reset, "--format brian2", tuple(RESETS))
    return RESETS[reset]
