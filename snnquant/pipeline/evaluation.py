"""Scores and prices of a run's networks on its test pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from snnquant.energy import LayerActivity, load_costs, measure, operations
from snnquant.errors import InputError
from snnquant.inference import exits, logits_by_step
from snnquant.io import write_json
from snnquant.nn import parameter_count
from snnquant.pipeline.controls import score_controls
from snnquant.pipeline.prices import (
    WORKLOADS,
    Observed,
    by_width,
    energies,
    first_layer,
    pixel_bits_of,
    priced,
    workloads,
)
from snnquant.pipeline.readouts import choose_readout, judge, keep_readouts
from snnquant.pipeline.rival import compare_with_twin
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import KEY_MAP, activation_width
from snnquant.pipeline.scene_map import (
    PATCHES_AT_ONCE,
    integer_network,
    require_spiking,
    validation_margins,
)
from snnquant.pipeline.tracked import track_scores
from snnquant.report.run_metrics import (
    EarlyExit,
    FixedSteps,
    IntegerScores,
    ModelMetrics,
    NetworkMetrics,
    Operations,
    RunMetrics,
    SceneMetrics,
    SplitMetrics,
)
from snnquant.sampling import coordinates_only_accuracy
from snnquant.stored_networks import Network
from snnquant.training import Samples, Scores, confusion, predict


def evaluate(run: Run) -> RunMetrics:
    """Score and price every network that a run has; write metrics.json and workloads.

    Each network is loaded once and run once over the test pixels, which are used nowhere else, and
    once over the scene where its map is smoothed. confidence.json has the choices for maps.

    Args:
        run: A run with at least its CNN.

    Returns:
        The content of metrics.json, the same for the same configuration on the same machine.

    Raises:
        InputError: If the run has no network or no test pixel, or a file cannot be written.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from snnquant.config import ModelConfig, RunConfig, TrainingConfig
    >>> from snnquant.pipeline.stages import train_cnn
    >>> config = RunConfig(
    ...     scene="synthetic:24x24x16",
    ...     model=ModelConfig(widths=(2, 2)),
    ...     training=TrainingConfig(cnn_epochs=1),
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     run = Run.create(config, Path(folder) / "run")
    ...     train_cnn(run)
    ...     metrics = evaluate(run)
    >>> 0 <= metrics.networks[Network.CNN_FP32].oa <= 1
    True
    """
    present = run.present()
    test = _test_samples(run)
    observed: dict[Network, Observed] = {}
    scores: dict[Network, NetworkMetrics] = {}
    readouts, calibration = {}, {}
    for done, name in enumerate(present):
        run.progress("evaluation", done, len(present), name)
        checkpoint = run.load(name)
        observed[name] = Observed.of(name, checkpoint, test)
        readouts[name], smoothed = choose_readout(run, name)
        logits = observed[name].seen.logits
        of_map, calibration[name] = judge(run, readouts[name], smoothed, logits, test)
        bare = _scores(observed[name], test, run.scene.classes)
        scores[name] = replace(bare, smoothed=of_map)
    run.progress("evaluation", len(present), len(present), "")
    trained = observed.get(Network.SNN_TRAINED)
    described, spent = workloads(run, observed), energies(run, observed)
    metrics = RunMetrics(
        run=str(run.path),
        seed=run.config.seed,
        networks=scores,
        spike_rates=None if trained is None else trained.seen.spike_rates,
        scene=_scene(run),
        model=_model(run, observed),
        split=_split(run),
        controls=score_controls(run.scene, run.split, run.config.model.window),
        operations={name: Operations(**operations(o.layers)) for name, o in observed.items()},
        operations_by_width={name: by_width(o.layers) for name, o in observed.items()},
        **spent,
        rival=compare_with_twin(run, observed, scores, described, spent),
        pim=first_layer(run, described.get(Network.SNN_TRAINED)),
        calibration=calibration,
    )
    for name, workload in described.items():
        workload.to_json(run.path / WORKLOADS[name])
    keep_readouts(run, readouts)
    write_json(run.path / "metrics.json", metrics.to_dict())
    track_scores(run, metrics)
    return metrics


def _test_samples(run: Run) -> Samples:
    if not len(run.split.test):
        raise InputError(f"{run.path}: found no test pixel in its split, expected at least 1")
    return run.samples(run.split.test)


def _scores(observed: Observed, test: Samples, classes: int) -> NetworkMetrics:
    predictions = observed.seen.logits.argmax(1)
    table = confusion(test.classes.numpy(), predictions.numpy(), classes)
    return NetworkMetrics(
        **asdict(Scores.from_confusion(table)),
        parameters=parameter_count(observed.checkpoint.network),
        confusion=table.tolist(),
    )


def energy_by_layer(run: Run) -> list[dict[str, Any]]:
    """Return operations, energy and effort of every layer of every network that the run has.

    One dictionary per network and layer: "network", "layer", "input_density" (0 to 1), "bits" per
    weight and "input_bits" (32 in floating point), "mac" and "ac" per pixel, "operations" per pixel
    by kind and widths, "energy_pj", pJ per pixel, and "effort", bit operations per pixel, by cost
    table. Element-wise work belongs to the layer before it.
    """
    rows: list[dict[str, Any]] = []
    test, costs = _test_samples(run), load_costs()
    for name in run.present():
        for layer in Observed.of(name, run.load(name), test).layers:
            rows.append(
                {
                    "network": name.value,
                    "layer": layer.info.name.removeprefix("layers."),
                    "input_density": layer.input_density,
                    "bits": layer.bits or 32,
                    "input_bits": layer.input.bits,
                    "mac": layer.mac,
                    "ac": layer.ac,
                    "operations": [asdict(count) for count in by_width([layer])],
                    "energy_pj": {c.name: c.of([layer]) for c in costs if c.unit == "pJ"},
                    "effort": {c.name: c.of([layer]) for c in costs if c.unit != "pJ"},
                }
            )
    return rows


def _scene(run: Run) -> SceneMetrics:
    scene = run.scene
    labelled = int((scene.labels > 0).sum())
    names = scene.class_names
    return SceneMetrics(scene.name, scene.cube.shape, labelled, names, own=run.scene_is_own)


def _model(run: Run, observed: Mapping[Network, Observed]) -> ModelMetrics:
    config, layers = run.config, list(observed.values())[-1].seen.layers
    quantized = observed.get(Network.CNN_QUANTIZED)
    return ModelMetrics(
        name=config.model.name,
        window=config.model.window,
        time_steps=config.neuron.time_steps,
        bits=config.quantization.bits,
        layers=tuple(
            replace(layer.info, name=layer.info.name.removeprefix("layers.")) for layer in layers
        ),
        activation_bits=activation_width(quantized.checkpoint.network if quantized else None),
        pixel_bits=run.normalisation.bits,
        imported=(run.path / KEY_MAP).exists(),
    )


def _split(run: Run) -> SplitMetrics:
    split = run.split
    return SplitMetrics(
        protocol=split.protocol,
        seed=split.seed,
        train=len(split.train),
        val=len(split.val),
        test=len(split.test),
        leakage=split.leakage(run.config.model.window, run.scene.width),
        coordinates_only_oa=coordinates_only_accuracy(split, run.scene.labels),
        notes=split.notes,
    )


def evaluate_early_exit(run: Run) -> EarlyExit:
    """Measure what early exit saves and costs on the test pixels; write early_exit.json.

    Margins come from the validation pixels. Energy counts every pixel's operations up to its own
    last step. Beside it are the scores at every number of steps without early exit.

    Args:
        run: A run with its trained SNN.

    Returns:
        The content of early_exit.json.

    Raises:
        InputError: If the run has no trained SNN or the file cannot be written.
    """
    checkpoint = run.load(Network.SNN_TRAINED)
    network = require_spiking(checkpoint, Network.SNN_TRAINED)
    step_margins = validation_margins(run, network)
    test, last = _test_samples(run), network.time_steps
    logits = logits_by_step(network, test.patches, test.indices)
    stopped, full = exits(logits, step_margins), logits[-1].argmax(1)
    costs = [cost for cost in load_costs() if cost.unit == "pJ"]

    def activity(pixels: Tensor) -> list[LayerActivity]:
        bits = pixel_bits_of(checkpoint)
        return priced(checkpoint, measure(network, test.patches, pixels, pixel_bits=bits))

    spent = dict.fromkeys((cost.name for cost in costs), 0.0)
    fixed: list[FixedSteps] = []
    for step in range(1, last + 1):
        network.time_steps = step
        layers = activity(test.indices)
        fixed.append(
            FixedSteps(
                time_steps=step,
                overall_accuracy=_share(logits[step - 1].argmax(1) == test.classes),
                accumulates_per_mac=_accumulates_per_mac(layers),
                energy_pj={cost.name: cost.of(layers) for cost in costs},
            )
        )
        pixels = test.indices[stopped.steps == step]
        if len(pixels):
            layers = activity(pixels)
            for cost in costs:
                share = len(pixels) / len(test.indices)
                spent[cost.name] += share * cost.of(layers)
    network.time_steps = last
    result = EarlyExit(
        margins=tuple(step_margins),
        time_steps=last,
        mean_steps=float(stopped.steps.double().mean()),
        share_by_step=tuple(float((stopped.steps == t + 1).double().mean()) for t in range(last)),
        overall_accuracy=_share(stopped.classes == test.classes),
        overall_accuracy_of_all_steps=_share(full == test.classes),
        agreement=_share(stopped.classes == full),
        energy_pj=spent,
        energy_pj_of_all_steps=fixed[-1].energy_pj,
        fixed_steps=tuple(fixed),
    )
    write_json(run.path / "early_exit.json", result.to_dict())
    return result


def _accumulates_per_mac(layers: list[LayerActivity]) -> float:
    spiking = [layer for layer in layers if layer.spiking]
    return sum(layer.ac for layer in spiking) / (sum(layer.info.mac for layer in spiking) or 1)


def evaluate_integers(run: Run) -> IntegerScores:
    """Compare the trained SNN in integers with itself in floating point; write integers.json.

    Args:
        run: A run with its trained, quantized SNN.

    Returns:
        The content of integers.json.

    Raises:
        InputError: If the run has no such SNN, the extra `integer` is not installed, or the file
            cannot be written.
    """
    checkpoint, test = run.load(Network.SNN_TRAINED), _test_samples(run)
    engine = integer_network(checkpoint, Network.SNN_TRAINED)
    batches = torch.split(test.indices, PATCHES_AT_ONCE)
    logits = [
        torch.from_numpy(engine.logits(test.patches.gather(batch).cpu())) for batch in batches
    ]
    classes = torch.cat(logits)[:, 0, 0].argmax(1)
    floats = predict(checkpoint.network, test.patches, test.indices).argmax(1)
    result = IntegerScores(
        overall_accuracy=_share(classes == test.classes),
        overall_accuracy_in_floats=_share(floats == test.classes),
        agreement=_share(classes == floats),
    )
    write_json(run.path / "integers.json", result.to_dict())
    return result


def _share(which: Tensor) -> float:
    return float(which.double().mean())
