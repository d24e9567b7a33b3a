"""Output neurons: several per class, whose mean is its score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from snnquant.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import convert
from snnquant.errors import InputError
from snnquant.inference.dense import dense_form
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.models import build_model
from snnquant.nn.wiring import PopulationMean
from snnquant.quantization import METHODS, Calibration, complete, quantize
from snnquant.sampling import Normalisation
from snnquant.spiking import SpikingNetwork

BANDS, CLASSES, SIZE = 20, 3, 4
MODEL = ModelConfig(name="cnn1x1h", window=3, widths=(2, 4, 6), population=SIZE)
NEURON = NeuronConfig(time_steps=2)


def cnn(config: ModelConfig = MODEL) -> nn.Sequential:
    torch.manual_seed(0)
    return build_model(config, BANDS, CLASSES).eval()


def patches(count: int = 60) -> torch.Tensor:
    return torch.randn(count, 1, BANDS, 3, 3, generator=torch.Generator().manual_seed(1))


def snn() -> SpikingNetwork:
    return convert(cnn(), patches(1), patches(), neuron=NEURON)[0]


@pytest.mark.parametrize("name", ["cnn1x1h", "cnn3d", "makantasis"])
def test_a_score_is_the_mean_of_the_classs_neurons(name: str) -> None:
    config = ModelConfig(name=name, components=0, population=SIZE)
    network = build_model(config, BANDS, CLASSES).eval()
    x = torch.randn(5, 1, BANDS, config.window, config.window)
    values = network[:-1](x)
    assert values.shape == (5, CLASSES * SIZE)
    torch.testing.assert_close(network(x), values.view(5, CLASSES, SIZE).mean(2))


def test_without_a_population_networks_are_as_before() -> None:
    assert "population" not in dict(cnn(ModelConfig(window=3)).named_children())
    with pytest.raises(InputError, match="--population: found -1, expected 0 or more"):
        ModelConfig(population=-1)
    with pytest.raises(InputError, match="0 for a network of your own"):
        ModelConfig(name="mine.onnx", population=2)


def test_the_converted_networks_scores_are_mean_spikes_times_the_threshold() -> None:
    network, report = convert(cnn(), patches(1), patches(), neuron=NEURON)
    assert report.layers[-1] == "lif_population"
    spikes: list[torch.Tensor] = []
    network.layers.lif_population.register_forward_hook(lambda *call: spikes.append(call[-1]))
    logits = network(patches())
    mean = spikes[0].mean(0).view(-1, CLASSES, SIZE).mean(2)
    torch.testing.assert_close(logits, mean * report.thresholds[-1])
    assert spikes[0].any()


@pytest.mark.parametrize("method", sorted(METHODS.names()))
@pytest.mark.parametrize("make", [cnn, snn])
def test_every_method_takes_networks_with_output_neurons(
    make: Callable[[], nn.Module], method: str
) -> None:
    network, config = make(), METHODS.get(method)()
    calibration = Calibration(patches(24), torch.arange(24) % CLASSES)
    quantize(network, config, calibration)
    complete(network, config, calibration)
    assert network(patches(5)).shape == (5, CLASSES)
    assert network(patches(5)).isfinite().all()


def test_the_dense_layer_of_a_mean_computes_it() -> None:
    mean, x = PopulationMean(SIZE), torch.randn(2, SIZE * CLASSES)
    torch.testing.assert_close(nn.functional.linear(x, mean.matrix(SIZE * CLASSES)), mean(x))


def test_the_integer_engine_and_tiles_compute_it() -> None:
    network = quantize(snn(), QuantizationConfig(bits=6)).eval()
    engine = IntegerNetwork(network, BANDS, 3)
    tile = patches(1)
    same = engine.classes(tile.repeat(1, 1, 1, 2, 2)).numel()
    assert same == 16
    found = np.concatenate([engine.classes(patch[None]).flatten() for patch in patches()])
    logits = network(patches())
    # A tie of counts is broken by the first class in both.
    assert (found == logits.argmax(1).numpy()).mean() > 0.95
    assert dense_form(network, BANDS, 3) is not None


def test_checkpoints_carry_it(tmp_path: Path) -> None:
    network = quantize(snn(), QuantizationConfig(bits=4)).eval()
    one, file = np.ones(BANDS, np.float32), tmp_path / "snn.safetensors"
    save_checkpoint(
        file,
        Checkpoint(
            network, MODEL, BANDS, CLASSES, Normalisation(one, one), "scene", "split",
            QuantizationConfig(bits=4), NEURON,
        ),
    )  # fmt: skip
    loaded = load_checkpoint(file)
    assert loaded.model.population == SIZE
    assert torch.equal(loaded.network(patches()), network(patches()))
