"""A normalisation inside the first kernel: the same logits from the sensor's values."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import fold_front_end, takes_front_end, to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.quantization import freeze, quantize
from snnquant.sampling import Normalisation
from snnquant.sampling.spectra import prepare
from snnquant.scenes import load_scene

SCENE = load_scene("synthetic:10x10x14")
SPECTRA = ("raw", "snv", "log-derivative", "raw+snv+log-derivative")


def patches(cube: np.ndarray, window: int) -> torch.Tensor:
    found = np.lib.stride_tricks.sliding_window_view(cube[:6, :6], (window, window), (0, 1))
    return torch.from_numpy(found.reshape(-1, 1, cube.shape[-1], window, window).copy()).double()


def normalised(normalisation: Normalisation, cube: np.ndarray) -> np.ndarray:
    """Return a normalised cube in float64."""
    scores = (cube.astype(np.float64) - normalisation.mean) / normalisation.std
    matrix = normalisation.components
    return scores if matrix is None else scores @ matrix.astype(np.float64)


@settings(max_examples=30)
@given(
    name=st.sampled_from(["cnn1x1", "cnn1x1h"]),
    spectra=st.sampled_from(SPECTRA),
    scaling=st.sampled_from(["standard", "within-class", "within-class:1"]),
    window=st.sampled_from([1, 3, 5]),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_logits_in_float64_are_those_of_normalised_patches(
    name, spectra, scaling, window, bias, seed
):
    labelled = np.flatnonzero(SCENE.labels)
    normalisation = Normalisation.fit(SCENE, labelled, 0, scaling, spectra)
    prepared = prepare(SCENE.cube, spectra, normalisation.floor)
    torch.manual_seed(seed)
    config = ModelConfig(name=name, window=window, spectra=spectra)
    cnn = build_model(config, SCENE.bands, 3).eval().double()
    if not bias:
        cnn.conv1.bias = None
    before = copy.deepcopy(cnn.state_dict())
    folded = fold_front_end(cnn, normalisation)
    assert all(torch.equal(value, before[key]) for key, value in cnn.state_dict().items())
    with torch.no_grad():
        expected = cnn(patches(normalised(normalisation, prepared), window))
        found = folded(patches(prepared, window))
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7 * scale)
    assert folded.conv1.kernel_size == (prepared.shape[-1], 1, 1)


@settings(max_examples=20)
@given(
    name=st.sampled_from(["cnn1x1", "cnn1x1h"]),
    spectra=st.sampled_from(["raw", "snv", "raw+snv"]),
    scaling=st.sampled_from(["within-class", "within-class:0.3"]),
    seed=st.integers(0, 99),
)
def test_logits_from_standard_scores_are_those_from_whitened_ones(name, spectra, scaling, seed):
    labelled = np.flatnonzero(SCENE.labels)
    whitened = Normalisation.fit(SCENE, labelled, 0, scaling, spectra)
    scores = whitened.without_matrix(SCENE.cube, labelled)
    prepared = prepare(SCENE.cube, spectra, whitened.floor)
    torch.manual_seed(seed)
    cnn = build_model(ModelConfig(name=name, window=3, spectra=spectra), SCENE.bands, 3)
    cnn = cnn.eval().double()
    assert takes_front_end(cnn, whitened)
    folded = fold_front_end(cnn, whitened, scores)
    with torch.no_grad():
        expected = cnn(patches(normalised(whitened, prepared), 3))
        found = folded(patches(normalised(scores, prepared), 3))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_a_matrix_stays_where_it_changes_the_number_of_inputs_or_the_kernel_slides():
    labelled = np.flatnonzero(SCENE.labels)
    slopes = Normalisation.fit(SCENE, labelled, 0, "within-class", "log-derivative")
    of_slopes = build_model(ModelConfig(name="cnn1x1", spectra="log-derivative"), SCENE.bands, 3)
    assert not takes_front_end(of_slopes, slopes)
    whitened = Normalisation.fit(SCENE, labelled, 0, "within-class")
    assert not takes_front_end(build_model(ModelConfig(name="cnn32h"), SCENE.bands, 3), whitened)


def test_a_quantized_spiking_network_keeps_its_other_layers_quantized():
    labelled = np.flatnonzero(SCENE.labels)
    normalisation = Normalisation.fit(SCENE, labelled, 0, "within-class", "raw")
    torch.manual_seed(0)
    cnn = build_model(ModelConfig(name="cnn1x1h", window=3), SCENE.bands, 3).eval()
    taken = patches(normalised(normalisation, SCENE.cube), 3)
    snn = to_spiking(cnn, taken[:1].float(), NeuronConfig(time_steps=3)).eval()
    for layer in snn.layers.children():
        if hasattr(layer, "threshold"):
            nn.init.constant_(layer.threshold, 0.2)
    quantize(snn, QuantizationConfig(bits=6))
    folded = fold_front_end(snn, normalisation)
    assert not hasattr(folded.layers.conv1, "parametrizations")
    assert hasattr(folded.layers.conv2, "parametrizations")
    assert hasattr(snn.layers.conv1, "parametrizations")
    with torch.no_grad():
        expected = freeze(copy.deepcopy(snn)).double()(taken)
        found = fold_front_end(freeze(snn).double(), normalisation)(patches(SCENE.cube, 3))
    assert len(expected.unique(dim=0)) > 3
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["cnn32h", "cnn3d", "hamida"])
def test_kernels_that_slide_are_refused_by_name(name):
    normalisation = Normalisation.fit(SCENE, np.arange(50))
    cnn = build_model(ModelConfig(name=name), SCENE.bands, 3)
    expected = r"^layer conv1: found Conv3d.* first, expected kernels of 14 bands times 1x1$"
    with pytest.raises(InputError, match=expected):
        fold_front_end(cnn, normalisation)


def test_a_network_for_other_inputs_or_without_weights_is_refused():
    normalisation = Normalisation.fit(SCENE, np.arange(50))
    few = replace(normalisation, components=np.ones((14, 3), np.float32))
    for network in (build_model(ModelConfig(name="cnn1x1"), 14, 3), nn.Sequential(nn.ReLU())):
        with pytest.raises(InputError, match=r"^layer .*expected kernels of 3 bands"):
            fold_front_end(network, few)
