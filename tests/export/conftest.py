from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, QuantizationConfig
from snnquant.conversion import convert
from snnquant.models import build_model
from snnquant.nn import INPUT
from snnquant.nn.wiring import Concatenate, Mean, Permute, Reshape, WeightedSum
from snnquant.quantization import quantize
from snnquant.sampling import Normalisation, Patches
from snnquant.scenes import load_scene
from snnquant.spiking import LIF, SpikingNetwork

torch.set_num_threads(1)  # small tensors: a second thread costs more than it saves

REAL_PIXELS = 12


@pytest.fixture(scope="session")
def on_indian_pines() -> Callable[..., tuple[SpikingNetwork, Tensor, Normalisation]]:
    """Map (model, window=None, bits=None, leak=1.0) to an SNN and labelled Indian Pines pixels.

    The network is not trained: random weights, thresholds calibrated on other real pixels, so that
    every layer spikes. Tests must not change it.
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


@pytest.fixture(scope="session")
def wired_network() -> Callable[..., tuple[SpikingNetwork, Tensor]]:
    """Map (seed, resets, max_pool) to a small 3-D network with branches, and 4 patches.

    It covers the wiring of `SpikingNetwork`: sums, concatenations, means, permutations, pools.
    """

    def build(seed: int, resets: Sequence[str], max_pool: bool) -> tuple[SpikingNetwork, Tensor]:
        torch.manual_seed(seed)
        numbers = random.Random(seed)
        choose = numbers.choice
        x = torch.randn(4, 1, choose((7, 10)), 3, 3)
        values, layers, inputs = {INPUT: x}, {}, {}

        def add(name: str, layer: nn.Module, *sources: str) -> str:
            values[name] = layer(*(values[source] for source in sources))
            layers[name], inputs[name] = layer, sources
            return name

        def add_neurons(name: str, source: str) -> str:
            values[name], inputs[name] = values[source], (source,)
            leak, threshold = choose((0.0, 0.5, 0.9, 1.0)), numbers.uniform(0.05, 0.5)
            layers[name] = LIF(leak, threshold, reset=choose(resets), initial=choose((0, 0.5)))
            return name

        bias, stride = choose((True, False)), choose((1, 2))
        pools = [
            nn.AvgPool3d((2, 1, 1)),
            nn.AdaptiveAvgPool3d((3, 1, 1)),
            nn.ZeroPad3d((0, 0, 0, 0, 1, 2)),
        ]
        pools += [nn.MaxPool3d((2, 1, 1), ceil_mode=True)] if max_pool else []
        last = add("conv1", nn.Conv3d(1, 4, (3, 2, 2), (stride, 1, 1), (1, 0, 0), bias=bias), INPUT)
        analog = last
        last = add_neurons("lif1", last)
        grouped = nn.Conv3d(4, 4, 3, padding=choose(("same", 1)), groups=choose((1, 2)), bias=bias)
        branch = add("branch", grouped, last)
        if choose((True, False)):
            branch = add_neurons("lif_branch", branch)
        if choose((True, False)):
            last = add("sum", WeightedSum([0.7, -1.3, 0.4]), last, branch, analog)
        else:
            last = add("cat", Concatenate(1), last, branch)
        last = add("pool", choose(pools), add_neurons("lif2", last))
        last = add("drop", nn.Dropout3d(), last)
        last = add(
            *choose((("swap", Permute((0, 2, 1, 3, 4))), ("mean", Mean((3, 4), True)))), last
        )
        last = add("vector", choose((nn.Flatten(), Reshape((-1,)))), last)
        last = add("dense", nn.Linear(values[last].shape[1], 6, bias=bias), last)
        if choose((True, False)):
            last = add("classifier", nn.Linear(6, 3), add_neurons("lif3", last))
        return SpikingNetwork(layers, choose((1, 4)), inputs).eval(), x

    return build
