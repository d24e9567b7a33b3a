from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn.kinds import SYNAPSES
from snnquant.quantization import Calibration, Terms, quantize, weight_codes
from snnquant.quantization.methods.multipoint import Multipoint
from snnquant.quantization.methods.post_training import PostTraining
from snnquant.quantization.multipoint import MultipointWeight
from snnquant.quantization.passes.layers import apply, by_channel, latent, layer_inputs

X = torch.randn(40, 1, 40, 5, 5, generator=torch.Generator().manual_seed(0))
# Norm of what 1 to 5 points leave over of 256 Gaussian weights, relative to theirs, of one draw.
LEFT = {
    2: (0.458, 0.264, 0.163, 0.074, 0.049),
    3: (0.236, 0.107, 0.045, 0.008, 0.003),
    4: (0.115, 0.022, 0.008, 0.0025, 0.0005),
}


def network(spikes: bool = False) -> nn.Module:
    torch.manual_seed(0)
    cnn = build_model(ModelConfig(name="cnn3d", widths=(4, 5, 6, 7)), 40, 5).eval()
    return to_spiking(cnn, X, NeuronConfig(time_steps=3)).eval() if spikes else cnn


def layers(network: nn.Module) -> dict[str, Any]:
    return {n: m for n, m in network.named_modules() if isinstance(m, SYNAPSES)}


@pytest.mark.parametrize("bits", LEFT)
def test_what_is_left_over_decays_geometrically(bits: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(500, 256)
    sums = MultipointWeight(weight, bits, 5).sums(weight)
    left = torch.stack([(weight - w).norm(dim=1) / weight.norm(dim=1) for w in sums])
    for found, known in zip(left, LEFT[bits], strict=True):
        assert 0.9 * found.min() < known < 1.1 * found.max()
    assert (left.diff(dim=0) <= 0).all()
    means = left.mean(1)
    assert (means[1:] / means[:-1] < 0.75).all()  # each point takes its share of what is left


@pytest.mark.parametrize("spikes", [False, True])
@pytest.mark.parametrize("epsilon", [1e-3, 1e-2])
def test_no_channel_below_the_largest_number_of_points_is_above_epsilon(
    spikes: bool, epsilon: float
) -> None:
    config = Multipoint(bits=2, points=3, epsilon=epsilon, outer_bits=2)
    quantized = quantize(network(spikes), config, Calibration(X))
    seen = set()
    for name, layer in layers(quantized).items():
        step: Any = layer.parametrizations.weight[0]
        given = torch.cat(list(layer_inputs(quantized, name, X)))

        def errors(weight: Tensor, layer: Any = layer, given: Tensor = given) -> Tensor:
            gap = apply(layer, given, weight - latent(layer))
            return by_channel(layer, gap).double().square().mean(1)

        assert (errors(layer.weight)[step.points < 3] <= epsilon * (1 + 1e-6)).all()
        for count, weight in enumerate(step.sums(latent(layer)), 1):  # and none has one too many
            assert (errors(weight)[step.points > count] > epsilon * (1 - 1e-6)).all()
        seen.update(step.points.tolist())
    assert len(seen) > 1


def test_one_point_is_uniform_quantization_bit_for_bit() -> None:
    for config in (Multipoint(epsilon=1e30, outer_bits=4), Multipoint(points=1, outer_bits=4)):
        quantized = quantize(network(), config, Calibration(X))
        plain = quantize(network(), PostTraining(bits=4, correct="none"))
        assert torch.equal(quantized(X), plain(X))
        for one, other in zip(layers(quantized).values(), layers(plain).values(), strict=True):
            codes = weight_codes(one)
            assert torch.equal(codes.uniform().codes, weight_codes(other).uniform().codes)


def test_codes_are_terms_that_decode_to_the_weight() -> None:
    config = Multipoint(bits=3, epsilon=0, points=2)
    quantized = quantize(network(), config, Calibration(X))
    for layer in layers(quantized).values():
        codes = weight_codes(layer)
        assert isinstance(codes, Terms)
        assert len(codes.terms) == 2
        assert torch.equal(codes.decode(), layer.weight)
        with pytest.raises(InputError, match="found sums of 2 terms"):
            codes.uniform()


def test_a_channel_without_a_second_point_has_zeros_in_it() -> None:
    layer = quantize(
        nn.Linear(64, 4),
        Multipoint(bits=2, outer_bits=2, epsilon=0),
        Calibration(X[:, 0, 0, 0, :1].expand(-1, 64)),
    )
    step: Any = layer.parametrizations.weight[0]  # type: ignore[union-attr, index]
    step.points.copy_(torch.tensor([1, 2, 3, 1]))
    terms = weight_codes(layer).terms  # type: ignore[union-attr]
    used = torch.stack([term.codes.any(1) for term in terms]).sum(0)
    assert used.tolist() == [1, 2, 3, 1]


def test_outer_layers_have_bits_of_their_own() -> None:
    quantized = quantize(network(), Multipoint(bits=3, outer_bits=7), Calibration(X))
    bits = [layer.parametrizations.weight[0].bits for layer in layers(quantized).values()]
    assert bits == [7, 3, 3, 3, 7]


def test_channels_keep_their_codes_when_they_are_rescaled() -> None:
    weight = torch.randn(3, 32)
    step = MultipointWeight(weight, 3, 2)
    step.points.fill_(2)
    before, factors = step(weight), torch.tensor([[2.0], [-0.5], [1.0]])
    step.scale_channels_(weight, factors)
    assert torch.equal(step(weight * factors), before * factors)


@pytest.mark.parametrize(
    "options", [{"points": 0}, {"points": 9}, {"epsilon": -1.0}, {"outer_bits": 9}, {"bits": 1}]
)
def test_options_are_checked_in_one_line(options: Any) -> None:
    flag = f"--quantization.{next(iter(options)).replace('_', '-')}: found"
    with pytest.raises(InputError, match=flag) as caught:
        Multipoint(**options)
    assert "\n" not in str(caught.value)
