"""The stages of a run, each reading and writing the run directory, so that any can be the last.

train_cnn -> quantize_cnn -> convert_cnn -> train_snn -> evaluate -> draw_map. A stage whose result
is there already is not run again, and every stage starts from files, never from what an earlier
one left in memory: a run that was killed and resumed ends like one that was not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snnquant.conversion import convert, fold_batch_norm
from snnquant.io import write_json
from snnquant.models import build_model, require_convertible
from snnquant.pipeline.evaluation import batch_size_for, evaluate
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import draw_map
from snnquant.quantization import quantize
from snnquant.report import write_html
from snnquant.spiking import SpikingNetwork
from snnquant.training import (
    SynapseNorms,
    predict,
)

CALIBRATION_PATCHES = 1024
"""Training patches that the thresholds are calibrated on."""


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
        batch = batch_size_for(network, calibration[:1])
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
    write_json(run.path / "conversion.json", report.to_dict())
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
            norms = SynapseNorms(snn, patches[: batch_size_for(snn, patches[:1])])
        teacher = run.load("cnn_fp32").network
        run.fit(snn, "snn", training.snn_epochs, training.learning_rate, teacher)
        if norms is not None:
            norms.fold()
        run.save("snn_trained", snn, quantization=run.quantization, neuron=config.neuron)
    run.finish("snn")


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
