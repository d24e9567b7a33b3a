from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from snnquant.config import ModelConfig, QuantizationConfig
from snnquant.conversion import convert
from snnquant.models import build_model
from snnquant.quantization import quantize
from snnquant.sampling import Normalisation, Patches
from snnquant.scenes import load_scene
from snnquant.spiking import LIF, SpikingNetwork

torch.set_num_threads(1)  # small tensors: a second thread costs more than it brings

REAL_PIXELS = 12


@pytest.fixture(scope="session")
def on_indian_pines() -> Callable[..., tuple[SpikingNetwork, Tensor, Normalisation]]:
    """(model, window=None, bits=None, leak=1.0) to an SNN and labelled pixels of Indian Pines.

    The network is not trained: random weights, thresholds calibrated on other real pixels, so that
    every layer spikes. Nobody may change it.
    """

    @cache
    def build(
        name: str, window: int | None = None, bits: int | None = None, leak: float = 1.0
    ) -> tuple[SpikingNetwork, Tensor, Normalisation]:
        scene = load_scene("indian_pines")
        labelled = np.flatnonzero(scene.labels)
        pixels = np.random.default_rng(0).choice(labelled, 200 + REAL_PIXELS, replace=False)
        config = ModelConfig(name=name, window=window)
        normalisation = Normalisation.fit(scene, pixels[:200], config.components)
        patches = Patches(scene.cube, config.window, normalisation)
        calibration, x = patches.gather(pixels[:200]), patches.gather(pixels[200:])
        torch.manual_seed(0)
        cnn = build_model(config, scene.bands, scene.classes).eval()
        network, _ = convert(cnn, x, calibration)
        for layer in network.layers:
            if isinstance(layer, LIF):
                torch.nn.init.constant_(layer.leak, leak)
        if bits:
            quantize(network, QuantizationConfig(bits=bits))
        return network.eval(), x, normalisation

    return build
