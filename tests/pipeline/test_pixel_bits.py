"""Bits of pixels and activations from the options to scores, files and prices."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from snnquant.config import QuantizationConfig, RunConfig, read_config
from snnquant.errors import InputError
from snnquant.pipeline import evaluation, stages
from snnquant.pipeline.import_cnn import import_cnn
from snnquant.pipeline.run import Run
from snnquant.quantization import QuantizedReLU, activation_bits
from snnquant.report import RunMetrics
from snnquant.report.sections import headings, summary
from snnquant.stored_networks import Network

LATER = ("pixel_bits", "activation_bits", "activation_quantizer")


def test_all_networks_of_a_run_receive_the_same_codes(finished: tuple[Path, RunMetrics]) -> None:
    run = Run.open(finished[0])
    grids = [run.load(network).grid for network in run.present()]
    assert len(grids) == len(Network)
    assert grids[0] is not None
    assert all(grid == grids[0] for grid in grids)
    patches = run.patches.gather(run.split.test)
    codes = patches / np.float32(grids[0].step)
    torch.testing.assert_close(codes, codes.round())
    assert grids[0].low <= codes.min()
    assert codes.max() <= grids[0].high
    training = replace(run.normalisation, grid=None)
    fitted = training.on_grid(run.scene.cube, run.split.train, 8)
    assert fitted.grid == grids[0]


def test_what_is_priced_is_what_is_computed(finished: tuple[Path, RunMetrics]) -> None:
    run, metrics = Run.open(finished[0]), finished[1]
    rows = json.loads((run.path / "workload.json").read_text())["layers"]
    assert rows[0]["input_bits"] == metrics.model.pixel_bits == run.normalisation.bits == 8
    assert "of 8 bits" in summary(metrics)


def test_the_quantized_cnn_is_a_true_one(finished: tuple[Path, RunMetrics]) -> None:
    run, metrics = Run.open(finished[0]), finished[1]
    cnn = run.load(Network.CNN_QUANTIZED).network
    assert set(activation_bits(cnn).values()) == {6}
    ceilings = [m.ceiling for m in cnn.modules() if isinstance(m, QuantizedReLU)]
    assert len(ceilings) == 4
    assert all(float(ceiling.detach()) > 0 for ceiling in ceilings)
    assert headings(metrics)[Network.CNN_QUANTIZED] == "CNN W6A6"
    assert not activation_bits(run.load(Network.CNN_FP32).network)
    assert not activation_bits(run.load(Network.SNN_TRAINED).network)


@pytest.mark.parametrize("pixel_bits", [4, 12, 32])
def test_other_bits_are_priced_too(config: RunConfig, pixel_bits: int, tmp_path: Path) -> None:
    quantization = QuantizationConfig(bits=4, activation_bits=3, activation_quantizer="pact")
    chosen = replace(config, pixel_bits=pixel_bits, quantization=quantization)
    run = Run.create(chosen, tmp_path / "run")
    for stage in (stages.train_cnn, stages.quantize_cnn, stages.convert_cnn, stages.train_snn):
        stage(run)
    metrics = evaluation.evaluate(Run.open(run.path))
    assert (metrics.model.pixel_bits, metrics.model.activation_bits) == (pixel_bits, 3)
    assert headings(metrics)[Network.CNN_QUANTIZED] == "CNN W4A3"
    rows = json.loads((run.path / "workload.json").read_text())["layers"]
    assert rows[0]["input_bits"] == (8 if pixel_bits == 32 else pixel_bits)
    values = run.patches.gather(run.split.test).unique()
    assert len(values) <= 2**pixel_bits if pixel_bits < 32 else len(values) > 2000


def test_pixels_and_activations_in_floating_point_where_nothing_is_quantized() -> None:
    assert RunConfig(quantization=QuantizationConfig(bits=32)).pixel_bits == 32
    assert QuantizationConfig(bits=32).activation_bits == 32
    assert (RunConfig().pixel_bits, QuantizationConfig(bits=3).activation_bits) == (8, 3)
    both = RunConfig(quantization=QuantizationConfig(bits=32), pixel_bits=8)
    assert both.pixel_bits == 8


@pytest.mark.parametrize("bits", [0, 1, 15, 31, -8])
def test_bits_out_of_range_are_refused(bits: int) -> None:
    with pytest.raises(InputError, match=rf"^--pixel-bits: found {bits}, expected 2 to 14, or 32$"):
        RunConfig(pixel_bits=bits)


@pytest.mark.parametrize("bits", [0, 9, 31])
def test_activation_bits_out_of_range_are_refused(bits: int) -> None:
    line = rf"^--activation-bits: found {bits}, expected 1 to 8, or 32$"
    with pytest.raises(InputError, match=line):
        QuantizationConfig(activation_bits=bits)


def test_a_run_of_before_keeps_floating_point(
    config: RunConfig, tmp_path: Path, copied: Callable[[], Run]
) -> None:
    """Of a run without the options the networks have no grid and float activations."""
    quantization = QuantizationConfig(activation_bits=32)
    old = replace(config, pixel_bits=32, quantization=quantization)
    run = Run.create(old, tmp_path / "run")
    for stage in (stages.train_cnn, stages.quantize_cnn, stages.convert_cnn, stages.train_snn):
        stage(run)
    before = evaluation.evaluate(run)
    file = run.path / "config.toml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith(LATER)]
    assert len(tomllib.loads(file.read_text())) - len(lines) == len(LATER)
    file.write_text("\n".join(lines))
    assert read_config(file) == old
    after = evaluation.evaluate(Run.open(run.path))
    assert after == before
    assert headings(after)[Network.CNN_QUANTIZED] == "CNN 6-bit"
    assert Run.open(run.path).normalisation.grid is None


def test_an_imported_cnn_receives_pixels_of_the_run_s_bits(
    config: RunConfig, tmp_path: Path
) -> None:
    plain = replace(config, pixel_bits=32)
    source = Run.create(plain, tmp_path / "source")
    stages.train_cnn(source)
    file = source.file(Network.CNN_FP32)
    for bits in (8, 32):
        run = Run.create(replace(config, pixel_bits=bits), tmp_path / str(bits))
        import_cnn(run, file)
        assert run.load(Network.CNN_FP32).normalisation.bits == run.normalisation.bits == bits
