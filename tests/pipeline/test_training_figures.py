"""Runs of methods with errors, rules or an optimizer of their own, and what they report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from snnquant.config import RunConfig, find_method
from snnquant.pipeline import stages
from snnquant.pipeline.run import Run
from snnquant.quantization import layer_bits
from snnquant.stored_networks import Network


@pytest.mark.parametrize("method", ["eoq", "lns_madam", "fractrain"])
def test_cnn_and_snn_are_trained_in_few_bits(
    config: RunConfig, tmp_path: Path, method: str
) -> None:
    training = replace(config.training, snn_batch_norm=False)
    chosen = replace(config, quantization=find_method(method)(), training=training)
    run = Run.create(chosen, tmp_path / "run")
    for stage in (stages.train_cnn, stages.quantize_cnn, stages.convert_cnn, stages.train_snn):
        stage(run)
    for name in (Network.CNN_QUANTIZED, Network.SNN_TRAINED):
        assert set(layer_bits(run.load(name).network).values()) == {8}
    file = run.path / "training.json"
    assert file.exists() == (method == "fractrain")
    if file.exists():
        figures = json.loads(file.read_text())
        assert list(figures) == [Network.CNN_QUANTIZED.stage, Network.SNN_TRAINED.stage]
        assert all(0.01 < found["training_cost"] <= 0.0625 for found in figures.values())
