"""Neurons that hardware can afford, from the options to the integers of the checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")

from snnquant.config import NeuronConfig, RunConfig, read_config
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.nn.hooks import recording
from snnquant.pipeline import evaluation, stages
from snnquant.pipeline.run import Run
from snnquant.spiking import LIF, SpikingNetwork, shifts
from snnquant.stored_networks import Network


@pytest.mark.parametrize(
    ("pixel_bits", "potential_bits", "leak", "powers"),
    [(4, 8, "power-of-two", 1), (6, 12, "two-powers", 2), (12, 16, "power-of-two", 1)],
)
def test_integers_run_what_was_trained(
    config: RunConfig,
    pixel_bits: int,
    potential_bits: int,
    leak: str,
    powers: int,
    tmp_path: Path,
) -> None:
    neuron = NeuronConfig(time_steps=3, leak=leak, potential_bits=potential_bits)
    run = Run.create(replace(config, pixel_bits=pixel_bits, neuron=neuron), tmp_path / "run")
    for stage in (stages.train_cnn, stages.convert_cnn, stages.train_snn):
        stage(run)
    run = Run.open(run.path)
    assert read_config(run.path / "config.toml").neuron == neuron
    stored = run.load(Network.SNN_TRAINED)
    assert stored.neuron == neuron
    network = stored.network
    assert isinstance(network, SpikingNetwork)
    layers = {n: layer for n, layer in network.layers.named_children() if isinstance(layer, LIF)}
    for layer in layers.values():
        assert shifts(float(layer.constants().leak.detach())) <= powers
        assert layer.units is not None
    engine = IntegerNetwork(network, stored.bands, stored.model.window, grid=stored.grid)
    fixed = engine.fixed_point
    assert fixed.input_limit == 2 ** (pixel_bits - 1)
    assert {neurons.potential_bits for neurons in fixed.neurons} == {potential_bits}
    patches = run.patches.gather(run.split.test)
    for layer, spikes in enumerate(_spikes(network, layers, patches)):
        assert spikes.any()
        np.testing.assert_array_equal(engine.spikes(patches, layer), spikes)

    metrics = evaluation.evaluate(run)
    assert metrics.model.pixel_bits == pixel_bits
    rows = json.loads((run.path / "workload.json").read_text())["layers"]
    assert {row["membrane_bits"] for row in rows[:-1]} == {potential_bits}


def _spikes(
    network: nn.Module, layers: dict[str, LIF], patches: Tensor
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return the spikes [T, N, h, w, depth, K] of layers of neurons."""
    found = []

    def keep(name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        *_, height, width = output.shape
        spikes = output.view(*output.shape[:3], -1, height, width)
        found.append(spikes.permute(0, 1, 4, 5, 3, 2).numpy())

    with torch.no_grad(), recording(layers, keep):
        network(patches)
    return found
