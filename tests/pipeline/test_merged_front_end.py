"""A whitening matrix inside the first kernel of a run's networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from snnquant.config import ModelConfig, RunConfig, TrainingConfig
from snnquant.models import build_model
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.front_end_choice import with_front_end
from snnquant.pipeline.run import Run
from snnquant.pipeline.stages import convert_cnn, quantize_cnn, train_cnn, train_snn
from snnquant.stored_networks import Network
from snnquant.training import predict

SCENE = "synthetic:24x24x16"


def made(path: Path, name: str, **options: object) -> Run:
    training = TrainingConfig(cnn_epochs=2, quantized_epochs=1, snn_epochs=1)
    model = ModelConfig(name=name, window=3)
    config = RunConfig(
        scene=SCENE, scaling="within-class:0.1", model=model, training=training, **options
    )
    return Run.create(config, path)


@pytest.mark.parametrize("name", ["cnn1x1", "cnn1x1h"])
def test_the_matrix_is_merged_and_costs_nothing(tmp_path: Path, name: str) -> None:
    run = made(tmp_path / "run", name)
    assert run.normalisation.components is not None
    for stage in (train_cnn, quantize_cnn, convert_cnn, train_snn):
        stage(run)
    for network in run.present():
        normalisation = Run.open(run.path).load(network).normalisation
        assert normalisation.components is None
        assert (normalisation.scaling, normalisation.bits) == ("within-class:0.1", 8)
    metrics = evaluate(Run.open(run.path))
    first = metrics.model.layers[0]
    assert all(layer.name != "front_end" for layer in metrics.model.layers)
    assert metrics.operations[Network.CNN_FP32].mac == sum(
        layer.mac for layer in metrics.model.layers
    )
    assert first.mac == first.weight_shape[0] * 16 * 9


def test_merging_changes_only_the_rounding_of_pixels(tmp_path: Path) -> None:
    run = made(tmp_path / "run", "cnn1x1h", pixel_bits=14)
    cnn = _random_cnn(run)
    test = run.samples(run.split.test)
    before = predict(cnn, test.patches, test.indices)
    merged = with_front_end(run, cnn)
    assert run.normalisation.components is None
    test = run.samples(run.split.test)
    after = predict(merged, test.patches, test.indices)
    assert (after - before).abs().max() < 0.02 * before.abs().max()


@pytest.mark.parametrize(("name", "bits"), [("cnn1x1", 32), ("cnn32h", 8)])
def test_the_matrix_stays_before_floats_and_sliding_kernels(
    tmp_path: Path, name: str, bits: int
) -> None:
    run = made(tmp_path / "run", name, pixel_bits=bits)
    cnn = _random_cnn(run)
    assert with_front_end(run, cnn) is cnn
    assert run.normalisation.components is not None


def _random_cnn(run: Run) -> nn.Module:
    torch.manual_seed(0)
    return build_model(run.config.model, run.scene.bands, run.scene.classes).eval()
