from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pim_sim.workload import Workload
from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.energy import measure, to_cnn_workload, to_workload
from snnquant.models import build_model
from snnquant.models.own import OWN_TABLES
from snnquant.nn import layer_table
from snnquant.quantization import quantize
from snnquant.spiking import LIF


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workload") / "workload.json"


@given(
    name=st.sampled_from(["cnn3d", "cnn32h", "cnn1x1", "cnn1x1h"]),
    bands=st.integers(1, 60),
    window=st.sampled_from([1, 3, 5]),
    steps=st.integers(1, 5),
    bits=st.integers(2, 8),
    threshold=st.sampled_from([1e-3, 0.05, 1e6]),
)
@settings(deadline=None, max_examples=25)
def test_a_workload_survives_its_file_and_counts_the_same_macs(
    name, bands, window, steps, bits, threshold, file, patches_of
):
    torch.manual_seed(0)
    widths = (2, 3, 4, 3)[: len(OWN_TABLES[name])]
    config = ModelConfig(name=name, window=window, widths=widths)
    cnn, patch = build_model(config, bands, 4), torch.zeros(1, 1, bands, window, window)
    snn = to_spiking(cnn, patch, NeuronConfig(time_steps=steps)).eval()
    for lif in snn.layers:
        if isinstance(lif, LIF):
            nn.init.constant_(lif.threshold, threshold)
    patches, pixels = patches_of(bands, window), torch.arange(0, 64, 9)
    table = layer_table(snn, patches.gather(pixels[:1]))
    activity = measure(snn, patches, pixels)
    workload = to_workload("scene net", activity, QuantizationConfig(bits=bits), steps)
    workload.to_json(file)
    assert Workload.from_json(file) == workload
    assert workload.name == "scene net"
    assert [f"layers.{layer.name}" for layer in workload.layers] == [info.name for info in table]
    for layer, info, row in zip(workload.layers, table, activity, strict=True):
        assert layer.macs == info.mac
        assert layer.output_shape == info.output_shape
        assert (layer.kind, layer.weight_bits, layer.time_steps) == (info.kind, bits, steps)
        assert layer.signed
        assert layer.input_density == row.input_density
        assert (layer.active_share, layer.fetched) == (row.active_share, row.fetched)
        assert 0 <= row.active_share <= min(1, steps * row.input_density + 1e-9)
        assert row.fetched <= layer.macs
    first, *others = workload.layers
    assert (first.input_bits, first.repeats_input, first.applications) == (8, True, 1)
    for layer in others:
        # The mean of spikes over a window is no spike.
        bits_in = 8 if name == "cnn1x1" and layer.name == "classifier" else 1
        assert (layer.input_bits, layer.repeats_input) == (bits_in, False)
        assert layer.applications == steps


@pytest.mark.parametrize(("pixel_bits", "expected"), [(32, 8), (8, 8), (5, 5), (14, 14)])
def test_the_first_layer_receives_pixels_of_their_bits(pixel_bits, expected, patches_of):
    torch.manual_seed(0)
    config = ModelConfig(name="cnn32h", window=3, widths=(2, 2, 3, 3))
    patches = patches_of(30, 3)
    cnn = build_model(config, 30, 4).eval()
    snn = to_spiking(cnn, patches.gather(torch.tensor([0])), NeuronConfig(time_steps=2)).eval()
    layers = measure(snn, patches, torch.arange(4))
    workload = to_workload("one", layers, QuantizationConfig(), 2, pixel_bits)
    assert [layer.input_bits for layer in workload.layers][:2] == [expected, 1]
    assert {layer.membrane_bits for layer in workload.layers} == {None}
    narrow = to_workload("one", layers, QuantizationConfig(), 2, pixel_bits, potential_bits=10)
    *others, last = narrow.layers
    assert {layer.membrane_bits for layer in others} == {10}
    assert last.membrane_bits is None


@pytest.mark.parametrize("bits", [1, 3, 8, 32])
def test_layers_of_a_cnn_have_their_own_bits_and_no_neurons(bits, patches_of):
    torch.manual_seed(0)
    cnn = build_model(ModelConfig(name="cnn32h", window=3, widths=(2, 2, 3, 3)), 30, 4).eval()
    given = QuantizationConfig(activation_bits=bits)
    quantize(cnn, given)
    activity = measure(cnn, patches_of(30, 3), torch.arange(4))
    layers = to_cnn_workload("cnn", activity, given).layers
    assert [layer.input_bits for layer in layers[1:]] == [8 if bits == 32 else bits] * 4
    assert {(layer.membrane_bits, layer.accumulates) for layer in layers} == {(0, None)}
    widths = {
        (row.weight_bits, row.input_bits) for row in to_cnn_workload("f", activity, None).layers
    }
    assert widths == {(32, 32)}
