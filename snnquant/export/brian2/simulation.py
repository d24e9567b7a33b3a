"""Simulation of a network's spiking layers in Brian2, written by snnquant.

It needs only numpy and brian2. The .npz file beside this one holds synapses, neurons and some
pixels: the current of the analog input and the biases into every neuron at each step. The script
prints the class and the spikes per layer of every pixel, and writes all spikes to a file ending in
_spikes.npz.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import brian2 as b2
import numpy as np

SLOTS = ("update", "threshold", "synapses", "reset")
"""The phases of a layer in a time step, before those of the next layer."""
STEP = 1 * b2.ms


def build(data: Mapping[str, Any]) -> tuple[Any, list[Any], Any]:
    """Build the network, the monitors of its layers' spikes, and that of the output's sums.

    It runs the time steps of one pixel after those of another.
    """
    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = STEP
    pixel = int(data["time_steps"]) * STEP
    groups, monitors, between = [], [], []
    for k in range(len(data["layers"])):
        current = data[f"current_{k}"]
        group = b2.NeuronGroup(
            current.shape[1],
            "v : 1\ng : 1\no : 1",
            threshold="v > V",
            reset=str(data["reset"][k]),
            namespace={
                "c": b2.TimedArray(current, dt=pixel),
                "leak": float(data["leak"][k]),
                "V": float(data["threshold"][k]),
                "start": float(data["start"][k]),
            },
        )
        group.run_regularly("v = start\no = 0", dt=pixel, when="start")
        group.run_regularly("v = leak*v + (c(t, i) + g) - V*o\ng = 0\no = 0", when=f"update_{k}")
        group.thresholder["spike"].when = f"threshold_{k}"
        group.resetter["spike"].when = f"reset_{k}"
        groups.append(group)
        monitors.append(b2.SpikeMonitor(group))
    output = b2.NeuronGroup(data[f"current_{len(groups)}"].shape[1], "g : 1")
    output.run_regularly("g = 0", dt=pixel, when="start")
    sums = b2.StateMonitor(output, "g", record=True, when="end")
    for j, (source, target) in enumerate(data["connections"]):
        synapses = b2.Synapses(
            groups[source],
            [*groups, output][target],
            "w : 1",
            on_pre="g_post += w",
            delay=0 * b2.ms,
        )
        synapses.connect(i=data[f"pre_{j}"], j=data[f"post_{j}"])
        synapses.w = data[f"weight_{j}"]
        synapses.pre.when = f"synapses_{source}"
        between.append(synapses)
    network = b2.Network(*groups, *monitors, output, sums, *between)
    order = [f"{slot}_{k}" for k in range(len(groups)) for slot in SLOTS]
    network.schedule = ["start", "groups", "thresholds", "synapses", "resets", *order, "end"]
    return network, monitors, sums


def simulate(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return spikes [pixels, steps, neurons] per layer, and `logits` [pixels, classes]."""
    network, monitors, sums = build(data)
    steps, pixels = int(data["time_steps"]), len(data["current_0"])
    network.run(pixels * steps * STEP)
    found = {}
    for k, (name, monitor) in enumerate(zip(data["layers"], monitors, strict=True)):
        spikes = np.zeros((pixels * steps, data[f"current_{k}"].shape[1]), bool)
        spikes[np.round(monitor.t / STEP).astype(int), np.asarray(monitor.i)] = True
        found[f"spikes_{name}"] = spikes.reshape(pixels, steps, -1)
    last = np.asarray(sums.g).T[steps - 1 :: steps]
    return {"logits": data[f"current_{len(monitors)}"] + last / steps, **found}


def main(script: Path) -> None:
    """Simulate, print a line per pixel, and write the spikes."""
    with np.load(script.with_suffix(".npz")) as file:
        data = dict(file)
    found = simulate(data)
    for pixel, logits in enumerate(found["logits"]):
        counts = [f"{name} {found[f'spikes_{name}'][pixel].sum()}" for name in data["layers"]]
        print(f"pixel {pixel}: {data['classes'][logits.argmax()]} ({', '.join(counts)} spikes)")
    np.savez_compressed(script.with_name(f"{script.stem}_spikes.npz"), **found)


if __name__ == "__main__":
    main(Path(__file__))
