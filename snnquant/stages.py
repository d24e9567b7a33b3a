"""The stages of a run, each reading and writing the run directory, so that any can be the last.

train_cnn -> quantize_cnn -> convert_cnn -> train_snn -> evaluate -> draw_map. A stage whose result
is there already is not run again, and every stage starts from files, never from what an earlier
one left in memory: a run that was killed and resumed ends like one that was not.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snnquant.conversion import SynapseNorms, convert, fold_batch_norm
from snnquant.deployment import draw_map
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
from snnquant.io import replacing
from snnquant.inference import dense_form
from snnquant.models import build_model, layer_table, parameter_count, require_convertible
from snnquant.quantization import quantize
from snnquant.report import write_html
from snnquant.run import Run
from snnquant.sampling import coordinates_only_accuracy
from snnquant.spiking import SpikingNetwork
from snnquant.training import (
    Scores,
    confusion,
    predict,
)

CALIBRATION_PATCHES = 1024
"""Training patches that the thresholds are calibrated on."""
LAYER_VALUES = 2**25
"""Values of a network's largest layer, counted at every time step, that are scored at once."""


def train_cnn(run: Run) -> None:
    """Train the 32-bit CNN; its batch norms are folded into the convolutions at the end."""
    if not run.has("cnn_fp32"):
        config = run.config
        torch.manual_seed(config.seed)
        cnn = build_model(config.model, run.scene.bands, run.scene.classes, batch_norm=True)
        run.write()
        run.fit(cnn, "cnn", config.training.cnn_epochs, config.training.learning_rate, None)
        run.save("cnn_fp32", fold_batch_norm(cnn))
    run.finish("cnn")


def quantize_cnn(run: Run) -> None:
    """Train the 32-bit CNN on under quantization: the 6-bit CNN that the SNN is compared with.

    At 32 bits there is nothing to do.
    """
    config = run.config
    if run.quantization and not run.has("cnn_quantized"):
        teacher, cnn = run.load("cnn_fp32").network, run.load("cnn_fp32").network
        quantize(cnn, run.quantization)
        training = config.training
        # It starts where the 32-bit CNN ended: a tenth of the rate keeps it there.
        rate = training.learning_rate / 10
        run.fit(cnn, "cnn_quantized", training.quantized_epochs, rate, teacher)
        run.save("cnn_quantized", cnn, quantization=run.quantization)
    run.finish("cnn_quantized")


def convert_cnn(run: Run) -> None:
    """Turn the 32-bit CNN into an SNN, its thresholds calibrated and searched on validation."""
    if run.has("snn_converted"):
        return
    run.progress("conversion", 0, 1, "")
    cnn = run.load("cnn_fp32").network
    validation, calibration = run.samples(run.split.val), _calibration(run)

    def accuracy(network: nn.Module) -> float:
        batch = _batch_size(network, calibration[:1])
        logits = predict(network, validation.patches, validation.indices, batch)
        return (logits.argmax(1) == validation.classes).double().mean().item()

    snn, report = convert(
        cnn,
        calibration[:1],
        calibration,
        neuron=run.config.neuron,
        conversion=run.config.conversion,
        accuracy=accuracy,
    )
    _write_json(run.path / "conversion.json", report.to_dict())
    run.save("snn_converted", snn, neuron=run.config.neuron)
    assert report.validation_accuracy is not None
    remark = f"validation OA {100 * report.validation_accuracy:.2f} %"
    run.progress("conversion", 1, 1, remark)


def train_snn(run: Run) -> None:
    """Train weights, leaks and thresholds of the converted SNN together, under quantization."""
    if not run.has("snn_trained"):
        config, training = run.config, run.config.training
        snn = run.load("snn_converted").network
        if training.snn_start == "random":
            torch.manual_seed(config.seed)
            snn.cpu()  # so that the same numbers are drawn on every device
            for module in snn.modules():
                getattr(module, "reset_parameters", lambda: None)()
            snn.to(run.device)
        for name, parameter in snn.named_parameters():
            kind = name.rpartition(".")[2]
            if kind in ("leak", "threshold"):
                parameter.requires_grad_(training.trained_neuron in ("both", kind))
        if run.quantization:
            quantize(snn, run.quantization)
        norms = None
        if training.snn_batch_norm:
            assert isinstance(snn, SpikingNetwork)
            patches = _calibration(run)
            norms = SynapseNorms(snn, patches[: _batch_size(snn, patches[:1])])
        teacher = run.load("cnn_fp32").network
        run.fit(snn, "snn", training.snn_epochs, training.learning_rate, teacher)
        if norms is not None:
            norms.fold()
        run.save("snn_trained", snn, quantization=run.quantization, neuron=config.neuron)
    run.finish("snn")


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
        batch = _batch_size(network, example)
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
    _write_json(run.path / "metrics.json", metrics)
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
        batch = _batch_size(checkpoint.network, example)
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


def run_all(run: Run) -> dict[str, Any]:
    """Every stage in turn, then the map and the report; returns the metrics.

    Raises InputError at once where the network has no spiking form.
    """
    require_convertible(run.config.model)
    for stage in (train_cnn, quantize_cnn, convert_cnn, train_snn):
        stage(run)
    metrics = evaluate(run)
    draw_map(run)
    write_html(metrics, run.path / "map_and_truth.png", run.path / "report.html")
    return metrics


def _calibration(run: Run) -> Tensor:
    """Training patches drawn by the run's seed: thresholds and statistics come from them."""
    pixels = np.random.default_rng(run.config.seed).permutation(run.split.train)
    return run.patches.gather(pixels[:CALIBRATION_PATCHES])


def _batch_size(network: nn.Module, example: Tensor) -> int:
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


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
