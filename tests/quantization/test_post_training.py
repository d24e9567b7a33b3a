from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn.kinds import SYNAPSES
from snnquant.quantization import Calibration, freeze, install, integer_weights, quantize
from snnquant.quantization.methods import Multipoint, PostTraining
from snnquant.quantization.passes.observed_layers import latent

SPECTRA = torch.randn(64, 1, 1, 5, 5, generator=torch.Generator().manual_seed(0))
NOISE = torch.randn(64, 1, 40, 5, 5, generator=torch.Generator().manual_seed(1))
X = SPECTRA + 0.3 * NOISE
SEEN = Calibration(X)
WEIGHTS: dict[str, Any] = {"activation_bits": 32}
CONFIGS = [
    PostTraining(),
    PostTraining(bits=2, ranges="minmax", granularity="tensor", correct="none"),
    PostTraining(bits=4, activation_bits=3, ranges="batch_norm"),
    PostTraining(bits=3, ranges="cross_entropy", correct="analytic"),
    PostTraining(bits=2, correct="empirical"),
    PostTraining(bits=4, equalise=True, granularity="tensor"),
    PostTraining(bits=3, round="adaround", correct="none", iterations=10),
    Multipoint(bits=2, epsilon=1e-3, outer_bits=3),
]


def cnn() -> nn.Module:
    torch.manual_seed(0)
    network = build_model(ModelConfig(name="cnn3d", widths=(4, 5, 6, 7)), 40, 5).eval()
    with torch.no_grad():  # one of trained weights is as uneven
        for module in synapses(network):
            module.weight.mul_(
                2 + torch.rand(len(module.weight)).view(-1, *[1] * (module.weight.ndim - 1))
            )
    return network


def snn() -> nn.Module:
    return to_spiking(cnn(), X, NeuronConfig(time_steps=3)).eval()


def synapses(network: nn.Module) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, SYNAPSES)]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("build", [cnn, snn])
def test_a_network_is_quantized_reloaded_and_frozen_bit_for_bit(build: Any, config: Any) -> None:
    network = quantize(build(), config, SEEN)
    found = network(X)
    assert found.isfinite().all()
    assert not torch.equal(found, build()(X))
    again = install(build(), config)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(X), found)
    assert torch.equal(freeze(copy.deepcopy(network))(X), found)
    assert torch.equal(network(X), found)


@pytest.mark.parametrize("config", CONFIGS[:-1])
def test_weights_are_codes_of_b_bits_times_a_stored_scale(config: PostTraining) -> None:
    network = quantize(cnn(), config, SEEN)
    for layer in synapses(network):
        codes, scale, zero = integer_weights(layer)
        assert codes.abs().max() <= 2 ** (config.bits - 1) - 1
        assert torch.equal((codes - zero) * scale, layer.weight)
        rows = 1 if config.granularity == "tensor" else len(codes)
        assert scale.shape == (rows, *[1] * (codes.ndim - 1))


def test_min_max_reaches_the_largest_weight_and_mse_is_nearer() -> None:
    plain = [module.weight.detach() for module in synapses(cnn())]
    errors = {}
    for ranges in ("minmax", "mse"):
        network = quantize(cnn(), PostTraining(bits=3, ranges=ranges, correct="none", **WEIGHTS))
        errors[ranges] = sum(
            float((m.weight - w).detach().square().sum())
            for m, w in zip(synapses(network), plain, strict=True)
        )
        if ranges == "minmax":
            for module, weight in zip(synapses(network), plain, strict=True):
                largest = weight.abs().flatten(1).amax(1)
                assert torch.allclose(module.weight.abs().flatten(1).amax(1), largest)
    assert errors["mse"] < 0.9 * errors["minmax"]


def test_only_the_logits_layer_gets_its_range_by_cross_entropy() -> None:
    one, other = (
        quantize(cnn(), PostTraining(bits=2, ranges=ranges, correct="none", **WEIGHTS), SEEN)
        for ranges in ("mse", "cross_entropy")
    )
    same = [
        torch.equal(a.weight, b.weight) for a, b in zip(synapses(one), synapses(other), strict=True)
    ]
    assert same == [True, True, True, True, False]


def test_every_correction_and_rounding_brings_the_logits_nearer() -> None:
    wanted = cnn()(X)

    def error(**options: Any) -> float:
        network = quantize(cnn(), PostTraining(bits=3, **WEIGHTS, **options), SEEN)
        return (network(X) - wanted).square().mean().item()

    nearest = error(correct="none")
    assert error(correct="empirical") < nearest
    assert error(correct="analytic") < nearest
    assert error(correct="matched") < nearest
    assert error(correct="none", round="adaround", iterations=200) < 0.9 * nearest
    layer = error(correct="none", granularity="tensor")
    assert error(correct="none", granularity="tensor", equalise=True) < layer


def test_an_snn_is_not_equalised() -> None:
    config = PostTraining(equalise=True, correct="none")
    network, plain = quantize(snn(), config, SEEN), snn()
    for module, other in zip(synapses(network), synapses(plain), strict=True):
        assert torch.equal(latent(module), other.weight)
    equalised = quantize(cnn(), config, SEEN)
    assert not torch.equal(latent(synapses(equalised)[0]), synapses(cnn())[0].weight)


def test_an_snn_takes_mean_spikes_whatever_the_correction() -> None:
    one, other = (
        quantize(snn(), PostTraining(bits=3, correct=how), SEEN)
        for how in ("empirical", "analytic")
    )
    assert torch.equal(one(X), other(X))


def test_the_gradient_reaches_the_latent_weights() -> None:
    network = quantize(cnn(), PostTraining(), SEEN)
    network(X).square().sum().backward()
    assert all(latent(layer).grad.any() for layer in synapses(network))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"round": "adaround", "correct": "matched"},
            "correct: found matched, expected none beside",
        ),
        ({"iterations": 0}, "--quantization.iterations: found 0"),
        ({"bits": 1}, "--quantization.bits: found 1"),
        ({"ranges": "max"}, "--quantization.ranges: found 'max'"),
        ({"activation_bits": 9}, "--quantization.activation-bits: found 9"),
        ({"equalise": 1}, "--quantization.equalise: found 1"),
    ],
)
def test_options_are_checked_in_one_line(options: Any, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        PostTraining(**options)
    assert "\n" not in str(caught.value)


def test_passes_need_calibration_pixels() -> None:
    with pytest.raises(InputError, match="found no calibration pixels"):
        quantize(cnn(), PostTraining())


def test_channels_keep_their_codes_when_they_are_rescaled() -> None:
    layer = nn.Linear(8, 3)
    quantized = quantize(layer, PostTraining(correct="none", **WEIGHTS))
    step: Any = quantized.parametrizations.weight[0]  # type: ignore[union-attr, index]
    factors, before = torch.tensor([[2.0], [-0.5], [1.0]]), quantized.weight.detach()  # type: ignore[union-attr]
    step.scale_channels_(latent(quantized), factors)
    scaled: Tensor = step(latent(quantized) * factors)
    assert torch.equal(scaled, before * factors)
    tensor = quantize(
        nn.Linear(8, 3), PostTraining(correct="none", granularity="tensor", **WEIGHTS)
    )
    with pytest.raises(InputError, match="found output channels that cannot be rescaled"):
        tensor.parametrizations.weight[0].scale_channels_(latent(tensor), factors)  # type: ignore[union-attr, index]
