"""Contenders of the benchmark: networks of one set of weights, on patches of Indian Pines."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from benchmarks.peers import SnnTorchLoop, SpikingJellySteps, of_torch, same_step
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import convert
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.models import build_model
from snnquant.quantization import freeze, quantize
from snnquant.sampling import Normalisation, Patches
from snnquant.scenes import load_scene
from snnquant.spiking import LIF, SpikingNetwork

WINDOW, LEAK = 5, 0.95
TRAINING_STEPS = 100
PIXEL_BITS = 8
"""Bits per value of the pixels of all contenders, the default of a run."""


@dataclass(frozen=True)
class Contenders:
    """Networks of one set of weights, patches [N, 1, B, 5, 5], and the crop of a scene."""

    x: Tensor
    classes: Tensor
    cnn: nn.Module
    own_cnn: nn.Module
    """The same with the convolutions of this package."""
    snn: SpikingNetwork
    engine: IntegerNetwork
    raw: IntegerNetwork
    """The engine on raw pixels, as `snnquant map` runs it."""
    pool: ThreadPoolExecutor
    peers: dict[str, nn.Module]
    plain: nn.Module
    """snnTorch's loop as a tutorial has it."""
    patches: Patches
    pixels: Tensor
    """Those of the scene that `x` are the patches of."""
    crop: np.ndarray
    normalisation: Normalisation


def build(
    model: str, batch: int, side: int, steps: tuple[int, ...], *, peers: bool
) -> dict[int, Contenders]:
    """Build the networks on pixels of Indian Pines, one set for each number of time steps.

    All are of one trained CNN: thresholds calibrated, 6-bit weights, pixels on the grid of a run.
    """
    torch.manual_seed(0)
    scene = load_scene("indian_pines")
    labelled = torch.from_numpy(scene.labels.reshape(-1)).nonzero().ravel()
    pixels = labelled[:: len(labelled) // batch][:batch]
    normalisation = Normalisation.fit(scene, pixels.numpy())
    normalisation = normalisation.on_grid(scene.cube, pixels.numpy(), PIXEL_BITS)
    patches = Patches(scene.cube, WINDOW, normalisation)
    x = patches.gather(pixels)
    cnn = build_model(ModelConfig(name=model, dropout=0), scene.bands, scene.classes)
    train_a_little(cnn, patches, labelled, torch.from_numpy(scene.labels.reshape(-1)))
    classes, pool = torch.randint(scene.classes, (len(x),)), workers()
    found = {}
    for time_steps in steps:
        # snnTorch and SpikingJelly start at potential 0, so the comparison does too.
        neuron = NeuronConfig(initial=0, time_steps=time_steps)
        snn, _ = convert(cnn, x, x, neuron=neuron)
        for layer in snn.layers:
            if isinstance(layer, LIF):
                layer.leak.data.fill_(LEAK)
        quantize(snn, QuantizationConfig())
        engine = IntegerNetwork(snn, scene.bands, WINDOW, grid=normalisation.grid)
        raw = engine.of_pixels(normalisation)
        assert raw is not None
        freeze(snn)
        plain = of_torch(snn)
        others: dict[str, nn.Module] = {"snnTorch": SnnTorchLoop(plain, first_once=True)}
        if peers:
            others["SpikingJelly"] = SpikingJellySteps(same_step(plain))
        found[time_steps] = Contenders(
            x,
            classes,
            of_torch(cnn.eval()),
            cnn,
            snn,
            engine,
            raw,
            pool,
            others,
            SnnTorchLoop(plain, first_once=False),
            patches,
            pixels,
            scene.cube[:side, :side],
            normalisation,
        )
    return found


def train_a_little(cnn: nn.Module, patches: Patches, pixels: Tensor, labels: Tensor) -> None:
    """Train some steps, so that classes differ by more than a rounding."""
    optimizer = torch.optim.Adam(cnn.parameters(), 1e-3)
    for _ in range(TRAINING_STEPS):
        batch = pixels[torch.randint(len(pixels), (64,))]
        optimizer.zero_grad()
        nn.functional.cross_entropy(cnn(patches.gather(batch)), labels[batch] - 1).backward()
        optimizer.step()


def infer(network: nn.Module, x: Tensor) -> Tensor:
    """Return the logits, without a graph."""
    with torch.no_grad():
        logits: Tensor = network(x)
    return logits


def workers() -> ThreadPoolExecutor:
    """Return one worker per thread of torch; operations inside a worker use one thread."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1))
    list(pool.map(time.sleep, [0.1] * threads))  # starts them all
    torch.set_num_threads(threads)
    return pool


def train_step(
    network: nn.Module, x: Tensor, classes: Tensor, precision: torch.dtype | None = None
) -> None:
    """Run forward and backward; the gradients are exact, or those of `--precision`."""
    network.zero_grad()
    with torch.autocast("cpu", precision, enabled=precision is not None):
        logits = network(x)
    nn.functional.cross_entropy(logits.float(), classes).backward()
