from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.inference import dense_form, tile_classifier
from snnquant.models import build_model
from snnquant.quantization import Calibration, freeze, quantize

BANDS, CLASSES = 24, 5


def network_of(name: str, window: int, spiking: bool, reset: str = "delayed") -> nn.Module:
    torch.manual_seed(3)
    cnn = build_model(ModelConfig(name=name, window=window), BANDS, CLASSES).eval()
    if not spiking:
        return cnn
    patch = torch.zeros(1, 1, BANDS, window, window)
    snn = to_spiking(cnn, patch, NeuronConfig(time_steps=3, reset=reset)).eval()
    with torch.no_grad():
        for parameter_name, parameter in snn.named_parameters():
            if "threshold" in parameter_name:
                parameter.fill_(0.2)  # low enough that every layer spikes
            elif "leak" in parameter_name:
                parameter.fill_(0.9)
    return snn


def windows_of(tile: torch.Tensor, window: int) -> torch.Tensor:
    windows = tile[0].unfold(2, window, 1).unfold(3, window, 1)
    return windows.permute(2, 3, 0, 1, 4, 5).flatten(0, 1)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["cnn3d", "cnn32h", "cnn1x1", "cnn1x1h"]),
    st.sampled_from([1, 3, 5, 7]),
    st.sampled_from([None, "delayed", "same_step", "zero"]),
    st.booleans(),
    st.integers(0, 99),
)
def test_every_window_of_a_tile_gets_the_logits_of_its_patch(name, window, reset, quantized, seed):
    network = network_of(name, window, reset is not None, reset or "delayed")
    if quantized:
        # Rounded activations: tile and patch may fall on either side of a tie.
        quantize(network, QuantizationConfig(activation_bits=32))
    dense = dense_form(network, BANDS, window)
    assert dense is not None
    torch.manual_seed(seed)
    tile = torch.randn(1, 1, BANDS, window + 3, window + 4, dtype=torch.float64)
    expected = freeze(network).double()(windows_of(tile, window))
    assert expected.unique().numel() > 4 * CLASSES  # not silent
    found = dense.double()(tile)
    torch.testing.assert_close(found[0].flatten(1).T, expected, rtol=1e-9, atol=1e-9)


def test_quantized_activations_have_a_dense_form():
    network = network_of("cnn3d", 5, False)
    inputs = torch.randn(16, 1, BANDS, 5, 5, generator=torch.Generator().manual_seed(0))
    quantize(network, QuantizationConfig(), Calibration(inputs))
    dense = dense_form(network, BANDS, 5)
    assert dense is not None
    tile = torch.randn(1, 1, BANDS, 8, 9, dtype=torch.float64)
    expected = freeze(network).double()(windows_of(tile, 5))
    found = dense.double()(tile)
    torch.testing.assert_close(found[0].flatten(1).T, expected, rtol=1e-9, atol=1e-9)


def test_the_network_itself_stays_as_it_is():
    network = quantize(network_of("cnn3d", 5, True), QuantizationConfig())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    dense_form(network, BANDS, 5)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def padded() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(2 * BANDS * 9, CLASSES)
    )


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 2, (3, 1, 1)),
        nn.AvgPool3d((1, 3, 3)),
        nn.Flatten(),
        nn.Linear(2 * (BANDS - 2), CLASSES),
    )


@pytest.mark.parametrize("make", [padded, pooled])
def test_networks_that_look_at_the_window_s_edge_go_patch_by_patch(make):
    torch.manual_seed(0)
    network = make().eval()
    if make is padded:  # a pool of stride 3 over a whole window may be shared
        assert dense_form(network, BANDS, 3) is None
    classify, how = tile_classifier(network, BANDS, 3)
    tile = torch.randn(1, 1, BANDS, 11, 9)
    expected = network(windows_of(tile, 3)).argmax(1).view(9, 7)
    assert torch.equal(classify(tile), expected)
    assert how == "patch by patch"


def test_hidden_linear_layers_are_shared_too():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(1, 3, (5, 3, 3), stride=(2, 1, 1)),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3 * 10, 8),
        nn.ReLU(),
        nn.Linear(8, CLASSES, bias=False),
    ).eval()
    classify, how = tile_classifier(network, BANDS, 3)
    tile = torch.randn(1, 1, BANDS, 11, 9)
    assert torch.equal(classify(tile), network(windows_of(tile, 3)).argmax(1).view(9, 7))
    assert how == "work shared between windows"
