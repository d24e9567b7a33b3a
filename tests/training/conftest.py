from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig, SplitConfig
from snnquant.conversion import to_spiking
from snnquant.models import build_model
from snnquant.quantization import quantize
from snnquant.sampling import Normalisation, Patches, make_split
from snnquant.scenes import Scene, load_scene
from snnquant.spiking import LIF
from snnquant.training import Samples

torch.set_num_threads(1)  # small tensors: a second thread costs more than it brings

MODEL = ModelConfig(name="cnn32h", window=3, widths=(2, 3, 4, 3))
WEIGHTS = QuantizationConfig(bits=4)
CONFIGS = {
    "cnn": (None, None),
    "quantized cnn": (WEIGHTS, None),
    "snn": (None, NeuronConfig(time_steps=3, reset="same_step", initial=0.25)),
    "quantized snn": (WEIGHTS, NeuronConfig(time_steps=3)),
    "quantized neurons": (
        QuantizationConfig(bits=5, scheme="affine", clip="mse", neuron_bits=6),
        NeuronConfig(time_steps=3, surrogate="arctan"),
    ),
}


@pytest.fixture(scope="session")
def scene() -> Scene:
    return load_scene("synthetic:24x24x12")


@pytest.fixture(scope="session")
def samples(scene: Scene) -> tuple[Samples, Samples]:
    """Training and validation pixels of the scene, 3x3 windows."""
    split = make_split(scene, SplitConfig(), 3, 0)
    patches = Patches(scene.cube, 3, Normalisation.fit(scene, split.train))

    def of(pixels: np.ndarray) -> Samples:
        classes = scene.labels.reshape(-1)[pixels] - 1
        return Samples(patches, torch.from_numpy(pixels), torch.from_numpy(classes))

    return of(split.train), of(split.val)


@pytest.fixture(scope="session")
def network_of(scene: Scene) -> Callable[..., nn.Module]:
    """Build one of CONFIGS with random weights, leaks and thresholds, for the scene."""

    def build(kind: str, seed: int = 0, batch_norm: bool = False) -> nn.Module:
        torch.manual_seed(seed)
        quantization, neuron = CONFIGS[kind]
        network = build_model(MODEL, scene.bands, scene.classes, batch_norm=batch_norm)
        if neuron:
            network = to_spiking(network, torch.zeros(1, 1, scene.bands, 3, 3), neuron)
            for module in network.layers:
                if isinstance(module, LIF):
                    nn.init.uniform_(module.leak, 0.5, 1)
                    nn.init.uniform_(module.threshold, 0.05, 0.5)
        if quantization:
            quantize(network, quantization)
        return network.eval()

    return build
