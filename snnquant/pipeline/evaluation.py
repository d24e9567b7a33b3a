"""Scores and prices of a run's networks on its test pixels."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from snnquant.energy import (
    LayerActivity,
    load_costs,
    measure,
    operations,
    price_first_layer,
    shared_between_windows,
    spike_rates,
    to_workload,
)
from snnquant.inference import dense_form, exits, logits_by_step
from snnquant.io import write_json
from snnquant.nn import layer_table, parameter_count
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import (
    PATCHES_AT_ONCE,
    integer_network,
    require_spiking,
    validation_margins,
)
from snnquant.sampling import coordinates_only_accuracy
from snnquant.spiking import SpikingNetwork
from snnquant.training import (
    Scores,
    confusion,
    predict,
)

if TYPE_CHECKING:
    pass


LAYER_VALUES = 2**25
"""Values of a network's largest layer, counted at every time step, that are scored at once."""


def evaluate(run: Run) -> dict[str, Any]:
    """Score and price every network that the run has; writes metrics.json and workload.json.

    The test pixels are used here and nowhere else. The keys are those of `metrics.json`, the same
    for the same configuration on the same machine.
    """
    present = run.present()
    test = run.samples(run.split.test)
    example = test.patches.gather(test.indices[:1])
    metrics: dict[str, Any] = {"schema": 1, "run": str(run.path), "seed": run.config.seed}
    activity: dict[str, list[LayerActivity]] = {}
    for done, name in enumerate(present):
        run.progress("evaluation", done, len(present), name)
        network = run.load(name).network
        batch = batch_size_for(network, example)
        predictions = predict(network, test.patches, test.indices, batch).argmax(1)
        table = confusion(test.classes.numpy(), predictions.numpy(), run.scene.classes)
        scores = asdict(Scores.from_confusion(table))
        metrics[name] = scores | {"parameters": parameter_count(network)}
        activity[name] = measure(network, test.patches, test.indices, batch)
        if name == "snn_trained":
            assert isinstance(network, SpikingNetwork)
            metrics["spike_rates"] = spike_rates(network, test.patches, test.indices, batch)
    run.progress("evaluation", len(present), len(present), "")
    metrics |= _describe(run, activity[present[-1]]) | price(run, activity)
    write_json(run.path / "metrics.json", metrics)
    return metrics


def price(run: Run, activity: dict[str, list[LayerActivity]]) -> dict[str, Any]:
    """Operations and energy of the networks, and the first layer of the SNN in memory."""
    config = run.config
    counts = {name: operations(layers) for name, layers in activity.items()}
    bits = {name: run.load(name).bits for name in activity}
    result: dict[str, Any] = {"operations": counts} | _energies(activity, bits, "energy")
    if dense_form(run.load("cnn_fp32").network, run.patches.bands, config.model.window):
        shared = {name: shared_between_windows(layers) for name, layers in activity.items()}
        result |= _energies(shared, bits, "map_energy")
    if "snn_trained" in activity and run.quantization:  # memory arrays hold integers
        layers = activity["snn_trained"]
        name = f"{run.scene.name} {config.model.name}"
        workload = to_workload(name, layers, run.quantization, config.neuron.time_steps)
        report = price_first_layer(workload, config.hardware, run.path / "workload.json")
        result["pim"] = {"hardware": config.hardware, **report.to_dict()["ratio"]}
    return result


def _energies(
    activity: dict[str, list[LayerActivity]], bits: dict[str, int | None], name: str
) -> dict[str, Any]:
    """`NAME_pj`: energy by cost table and network; `NAME_ratio`: the CNNs' over the SNN's."""
    energy: dict[str, dict[str, float]] = {}
    ratio: dict[str, dict[str, float]] = {}
    for costs in load_costs():
        energy[costs.name] = {
            network: costs.energy_pj(layers, bits[network]) for network, layers in activity.items()
        }
        spent = energy[costs.name].get("snn_trained")
        if spent is not None:
            ratio[costs.name] = {
                network: pj / spent
                for network, pj in energy[costs.name].items()
                if "cnn" in network
            }
    return {f"{name}_pj": energy, f"{name}_ratio": ratio}


def energy_by_layer(run: Run) -> list[dict[str, Any]]:
    """Operations and energy in pJ of every layer of every network that the run has."""
    rows: list[dict[str, Any]] = []
    test = run.samples(run.split.test)
    example = test.patches.gather(test.indices[:1])
    for name in run.present():
        checkpoint = run.load(name)
        batch = batch_size_for(checkpoint.network, example)
        for layer in measure(checkpoint.network, test.patches, test.indices, batch):
            rows.append(
                {
                    "network": name,
                    "layer": layer.info.name.removeprefix("layers."),
                    "input_density": layer.input_density,
                    "mac": layer.mac,
                    "ac": layer.ac,
                    "energy_pj": {
                        costs.name: costs.energy_pj([layer], checkpoint.bits)
                        for costs in load_costs()
                    },
                }
            )
    return rows


def batch_size_for(network: nn.Module, example: Tensor) -> int:
    """Patches like `example` [1, ...] that fit the memory at a time, at any window and T."""
    steps = network.time_steps if isinstance(network, SpikingNetwork) else 1
    layers = [math.prod(info.output_shape) for info in layer_table(network, example)]
    return min(512, max(1, LAYER_VALUES // (steps * max(layers))))


def _describe(run: Run, layers: list[LayerActivity]) -> dict[str, Any]:
    """The scene, the model and the split in metrics.json."""
    scene, split, config = run.scene, run.split, run.config
    return {
        "scene": {
            "name": scene.name,
            "shape": list(scene.cube.shape),
            "labelled": int((scene.labels > 0).sum()),
            "class_names": list(scene.class_names),
        },
        "model": {
            "name": config.model.name,
            "window": config.model.window,
            "time_steps": config.neuron.time_steps,
            "bits": config.quantization.bits,
            "layers": [
                layer.info.to_dict() | {"name": layer.info.name.removeprefix("layers.")}
                for layer in layers
            ],
        },
        "split": {
            "protocol": split.protocol,
            "seed": split.seed,
            "train": len(split.train),
            "val": len(split.val),
            "test": len(split.test),
            "leakage": split.leakage(config.model.window, scene.width),
            "coordinates_only_oa": coordinates_only_accuracy(split, scene.labels),
            "notes": list(split.notes),
        },
    }


def evaluate_early_exit(run: Run) -> dict[str, Any]:
    """What stopping early saves and costs on the test pixels; also written to early_exit.json.

    Margins come from the validation pixels. Energy counts every pixel's operations up to its own
    last step.
    """
    name = "snn_trained"
    checkpoint = run.load(name)
    network = require_spiking(checkpoint, name)
    step_margins = validation_margins(run, network)
    test, last = run.samples(run.split.test), network.time_steps
    logits = logits_by_step(network, test.patches, test.indices)
    stopped, full = exits(logits, step_margins), logits[-1].argmax(1)
    costs = load_costs()
    whole = measure(network, test.patches, test.indices)
    spent = dict.fromkeys((cost.name for cost in costs), 0.0)
    for step in range(1, last + 1):
        pixels = test.indices[stopped.steps == step]
        if len(pixels):
            network.time_steps = step
            layers = measure(network, test.patches, pixels)
            for cost in costs:
                share = len(pixels) / len(test.indices)
                spent[cost.name] += share * cost.energy_pj(layers, checkpoint.bits)
    network.time_steps = last
    result = {
        "margins": step_margins,
        "time_steps": last,
        "mean_steps": float(stopped.steps.double().mean()),
        "share_by_step": [float((stopped.steps == t + 1).double().mean()) for t in range(last)],
        "overall_accuracy": _share(stopped.classes == test.classes),
        "overall_accuracy_of_all_steps": _share(full == test.classes),
        "agreement": _share(stopped.classes == full),
        "energy_pj": spent,
        "energy_pj_of_all_steps": {c.name: c.energy_pj(whole, checkpoint.bits) for c in costs},
    }
    write_json(run.path / "early_exit.json", result)
    return result


def evaluate_integers(run: Run) -> dict[str, float]:
    """The trained SNN in integers on the test pixels: its OA, and how many classes stay the same.

    Also written to integers.json.
    """
    name = "snn_trained"
    checkpoint, test = run.load(name), run.samples(run.split.test)
    engine = integer_network(checkpoint, name)
    batches = torch.split(test.indices, PATCHES_AT_ONCE)
    logits = [
        torch.from_numpy(engine.logits(test.patches.gather(batch).cpu())) for batch in batches
    ]
    classes = torch.cat(logits)[:, 0, 0].argmax(1)
    floats = predict(checkpoint.network, test.patches, test.indices).argmax(1)
    result = {
        "overall_accuracy": _share(classes == test.classes),
        "overall_accuracy_in_floats": _share(floats == test.classes),
        "agreement": _share(classes == floats),
    }
    write_json(run.path / "integers.json", result)
    return result


def _share(which: torch.Tensor) -> float:
    return float(which.double().mean())
