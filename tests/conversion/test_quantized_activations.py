"""Conversion of a CNN with quantized activations: its learnt ceilings are the thresholds."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ConversionConfig, ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import convert, fold_batch_norm, fold_front_end
from snnquant.conversion.rewriting import rewrite
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.quantization import Calibration, QuantizedReLU, freeze, quantize
from snnquant.sampling import Normalisation
from snnquant.scenes import load_scene


def patches() -> Tensor:
    return torch.randn(60, 1, 20, 5, 5, generator=torch.Generator().manual_seed(0))


def quantized_cnn(bits: int = 3, quantizer: str = "lsq") -> nn.Module:
    torch.manual_seed(1)
    cnn = build_model(ModelConfig(name="cnn32h", widths=(3, 4, 8, 6)), 20, 4).eval()
    config = QuantizationConfig(activation_bits=bits, activation_quantizer=quantizer)  # type: ignore[arg-type]
    return freeze(quantize(cnn, config, Calibration(patches())))


@pytest.mark.parametrize("calibration", ["percentile", "maximum", "mse"])
@pytest.mark.parametrize("scored", [False, True])
def test_thresholds_are_the_learnt_ceilings(calibration: str, scored: bool) -> None:
    cnn, x = quantized_cnn(), patches()
    expected = cnn(x).argmax(1)

    def score(network: nn.Module) -> float:
        return float((network(x).argmax(1) == expected).double().mean())

    conversion = ConversionConfig(calibration=calibration)  # type: ignore[arg-type]
    snn, report = convert(cnn, x[:1], x, conversion=conversion, accuracy=score if scored else None)
    ceilings = [float(m.ceiling.detach()) for m in cnn.modules() if isinstance(m, QuantizedReLU)]
    assert report.thresholds == pytest.approx(ceilings)
    names = [match.remark for match in report.operations if match.found == "QuantizedReLU"]
    assert len(names) == 4
    assert all("becomes the threshold" in remark for remark in names)
    assert type(snn.layers.get_submodule("lif1")).__name__ == "LIF"


def test_one_layer_of_neurons_with_the_cnn_s_levels_answers_like_the_cnn() -> None:
    """T = 2^b - 1 steps of a constant current and half a threshold: rounding to the same levels."""
    torch.manual_seed(0)
    cnn = nn.Sequential(nn.Flatten(), nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 5)).eval()
    x = torch.randn(50, 12)
    quantize(cnn, QuantizationConfig(bits=8, activation_bits=3), Calibration(x))
    freeze(cnn)
    neuron = NeuronConfig(time_steps=7, initial=0.5)
    snn, _ = convert(cnn, x[:1], x, neuron=neuron)
    with torch.no_grad():
        torch.testing.assert_close(snn(x), cnn(x), atol=1e-4, rtol=1e-4)


def test_tracing_takes_the_quantized_relu_as_it_is() -> None:
    cnn, x = quantized_cnn(), patches()
    reference, _ = rewrite(cnn, x[:1])
    with torch.no_grad():
        torch.testing.assert_close(reference(x), cnn(x))
        torch.testing.assert_close(fold_batch_norm(cnn)(x), cnn(x))
    before = copy.deepcopy(cnn.state_dict())
    reference.double()
    assert all(torch.equal(value, before[key]) for key, value in cnn.state_dict().items())


def test_a_front_end_is_not_folded_through_a_grid_of_pixels() -> None:
    scene = load_scene("synthetic:10x10x14")
    fitted = Normalisation.fit(scene, np.arange(50))
    cnn = build_model(ModelConfig(name="cnn1x1", window=3), 14, 3)
    with pytest.raises(InputError, match=r"^--pixel-bits: found pixels of 8 bits"):
        fold_front_end(cnn, fitted.on_grid(scene.cube, np.arange(50), 8))
    folded = fold_front_end(cnn, replace(fitted, grid=None))
    assert folded.get_submodule("conv1") is not cnn.get_submodule("conv1")
