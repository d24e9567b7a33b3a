"""Layers whose inputs other layers made of spikes; grouped and one-dimensional convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.energy import measure, to_workload
from snnquant.models import build_model
from snnquant.sampling import Normalisation, Patches
from snnquant.spiking import LIF, SpikingNetwork

BANDS, WINDOW, STEPS = 24, 5, 3


@pytest.fixture(scope="module")
def patches() -> Patches:
    cube = np.random.default_rng(0).normal(size=(8, 8, BANDS)).astype(np.float32)
    return Patches(cube, WINDOW, Normalisation(np.zeros(BANDS, "f4"), np.ones(BANDS, "f4")))


def test_a_convolution_after_a_convolution_multiplies_at_every_step(patches):
    """Hamida's strided convolutions are not rectified: what follows them sees no spikes."""
    torch.manual_seed(0)
    cnn = build_model(ModelConfig(name="hamida"), BANDS, 4).eval()
    pixels = torch.arange(20)
    snn = to_spiking(cnn, patches.gather(pixels[:1]), NeuronConfig(time_steps=STEPS)).eval()
    rows = {row.info.name.removeprefix("layers."): row for row in measure(snn, patches, pixels)}
    assert [row.spiking for row in rows.values()] == [False, True, False, True, False, True, True]
    for name, row in rows.items():
        if name in ("conv2", "conv3"):
            assert (row.mac, row.ac, row.changing) == (STEPS * row.info.mac, 0, True)
        else:
            assert not row.changing
        assert row.ac >= 0
        assert 0 <= row.input_density <= 1
    layers = to_workload("hamida", list(rows.values()), QuantizationConfig(), STEPS).layers
    assert [layer.repeats_input for layer in layers] == [True, *[False] * 6]
    assert [layer.input_bits for layer in layers] == [8, 1, 8, 1, 8, 1, 1]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_accumulates_of_a_grouped_one_dimensional_convolution(patches, groups):
    """One spike at a time, each output that its change reaches is an accumulate."""
    torch.manual_seed(0)
    convolution = nn.Conv1d(4, 8, 3, stride=2, padding="valid", dilation=2, groups=groups)
    layers = {
        "flat": nn.Flatten(2),
        "conv1": nn.Conv1d(1, 4, 5, stride=25, bias=False),
        "lif1": LIF(threshold=0.1),
        "conv2": convolution,
        "lif2": LIF(),
        "line": nn.Flatten(),
        "dense": nn.Linear(8 * 10, 3),
    }
    snn = SpikingNetwork(layers, STEPS).eval()
    spikes = []
    snn.layers.get_submodule("lif1").register_forward_hook(lambda m, i, o: spikes.append(o))
    (row,) = [row for row in measure(snn, patches, torch.arange(2)) if "conv2" in row.info.name]
    reached = 0
    nn.init.ones_(convolution.weight)
    for index in spikes[-1].nonzero():
        alone = torch.zeros(1, *spikes[-1].shape[2:])
        alone[0, *index[2:]] = 1
        output = nn.functional.conv1d(alone, convolution.weight, None, 2, 0, 2, groups)
        reached += int(output.count_nonzero())
    assert len(spikes[-1].nonzero()) > 0
    assert row.ac == pytest.approx(reached / 2)
    assert row.info.kind == "conv1d"
    assert row.info.padding == (0,)


def test_padding_by_a_word_is_counted(patches):
    layers = {
        "fold": nn.Flatten(1, 2),
        "conv1": nn.Conv2d(BANDS, 2, 3, padding="same"),
        "lif1": LIF(),
        "flat": nn.Flatten(),
        "dense": nn.Linear(50, 3),
    }
    rows = measure(SpikingNetwork(layers, STEPS).eval(), patches, torch.arange(2))
    assert rows[0].info.padding == (1, 1)
    layers_of_workload = to_workload("same", rows, QuantizationConfig(), STEPS).layers
    assert layers_of_workload[0].padding == (1, 1)
