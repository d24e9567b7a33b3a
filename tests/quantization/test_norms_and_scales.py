"""Quantized norms, double quantization of scales, and grids by role: their bounds."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import fold_batch_norm, to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.quantization import (
    QuantizedReLU,
    install,
    layer_bits,
    quantize,
    scale_channels,
    weight_codes,
    weight_quantizer,
)
from snnquant.quantization.double_quantization import (
    OCTAVES,
    DoubleQuantizedWeight,
    ScaledShiftWeight,
    quantized_scales,
)
from snnquant.quantization.methods import PikeLPN
from snnquant.quantization.quantized_norm import QuantizedNorm, quantized_norm, signed_power

BANDS = 24
EXPONENTS = st.lists(st.floats(-12, 6), min_size=1, max_size=20)
CONFIG = ModelConfig(name="separable3d", widths=(4, 6, 8, 8))


@given(EXPONENTS, st.integers(2, 10))
@settings(deadline=None)
def test_the_error_of_a_linear_scale_is_within_half_a_step(exponents, bits):
    scales = torch.tensor(exponents, dtype=torch.float64).exp2()
    found = quantized_scales(scales, bits, "linear")
    step = scales.max() / (2**bits - 1)
    codes = found / step
    torch.testing.assert_close(codes, codes.round())
    assert codes.round().min() >= 1
    assert codes.round().max() == 2**bits - 1
    bounded = scales >= step / 2
    relative = (found - scales).abs() / scales
    bound = 0.5 * scales.max() / ((2**bits - 1) * scales)
    assert (relative <= bound * (1 + 1e-9) + 1e-12)[bounded].all()
    assert torch.allclose(found[~bounded], step.expand_as(found[~bounded]))


@given(EXPONENTS, st.integers(2, 10))
@settings(deadline=None)
def test_the_relative_error_of_a_logarithmic_scale_is_the_same_everywhere(exponents, bits):
    scales = torch.tensor(exponents, dtype=torch.float64).exp2()
    found = quantized_scales(scales, bits, "log")
    distance = OCTAVES / (2**bits - 1)
    places = -(found / scales.max()).log2() / distance
    torch.testing.assert_close(places, places.round(), rtol=0, atol=1e-6)
    within = scales >= scales.max() * 2.0**-OCTAVES
    ratio = torch.maximum(found / scales, scales / found)[within]
    assert (ratio <= 2 ** (distance / 2) * (1 + 1e-9)).all()


def test_scales_of_32_bits_are_those_of_the_weight():
    scales = torch.rand(5, 1)
    assert torch.equal(quantized_scales(scales, 32, "log"), scales)


@given(st.integers(2, 8), st.integers(0, 999), st.sampled_from(["linear", "log"]))
@settings(deadline=None)
def test_weights_are_within_half_a_step_of_their_channel(bits, seed, grid):
    weight = torch.randn(6, 9, generator=torch.Generator().manual_seed(seed)).double()
    weight *= torch.tensor([1.0, 2, 0.5, 0.3, 1.5, 0.1])[:, None]
    quantizer = DoubleQuantizedWeight(bits, 8, grid)
    codes = quantizer.encode(weight)
    assert torch.equal(codes.decode(), quantizer(weight))
    assert len(codes.codes.unique()) <= 2**bits - 1
    clipped = codes.codes.abs() == 2 ** (bits - 1) - 1
    error = (codes.decode() - weight).abs()
    assert (error <= codes.scale * 0.5 * (1 + 1e-6))[~clipped].all()


@given(st.integers(2, 5), st.integers(0, 999))
@settings(deadline=None)
def test_shifted_weights_are_the_nearest_levels(bits, seed):
    weight = torch.randn(3, 8, generator=torch.Generator().manual_seed(seed)).double()
    quantizer = ScaledShiftWeight(bits, 8, "linear")
    codes = quantizer.encode(weight)
    values = quantizer(weight)
    assert torch.equal(codes.decode(), values)
    powers = 2.0 ** -torch.arange(2 ** (bits - 2))
    levels = torch.cat([-powers, torch.zeros(1), powers]).double()
    distances = (weight[..., None] - levels * codes.scale[..., None]).abs()
    least = distances.amin(-1)
    torch.testing.assert_close((values - weight).abs(), least, rtol=1e-6, atol=1e-9)


def norm_of(kind: type[nn.Module], channels: int = 5) -> nn.Module:
    torch.manual_seed(0)
    norm = kind(channels)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(channels))
        norm.bias.copy_(torch.randn(channels))
        norm.running_mean.copy_(torch.randn(channels))
        norm.running_var.copy_(torch.rand(channels).mul(6).sub(3).exp())
    return norm


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [(nn.BatchNorm1d, (7, 5)), (nn.BatchNorm2d, (7, 5, 2, 3)), (nn.BatchNorm3d, (7, 5, 4, 1, 2))],
)
def test_a_norm_of_16_bits_is_a_batch_norm(kind, shape, training):
    plain = norm_of(kind).train(training)
    quantized = quantized_norm(copy.deepcopy(plain), "norm", 16)
    assert isinstance(quantized, kind)
    x = torch.randn(shape)
    expected, found = plain(x), quantized(x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-3)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(quantized.state_dict()[name], value, msg=name)
    plain(x).square().sum().backward()
    quantized(x).square().sum().backward()
    assert torch.allclose(quantized.weight.grad, plain.weight.grad, rtol=0.01, atol=0.05)


@given(st.integers(2, 12), st.integers(0, 999))
@settings(deadline=None)
def test_factors_and_terms_lie_on_grids_within_half_a_step(bits, seed):
    norm = norm_of(nn.BatchNorm2d).eval()
    torch.manual_seed(seed)
    norm.running_var.copy_((torch.rand(5) * 12 - 6).exp())  # variances span decades
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    term = norm.bias - factor * norm.running_mean
    for exact, found in zip(
        (factor, term), quantized_norm(norm, "n", bits).affine_form(), strict=True
    ):
        step = exact.detach().abs().max() / (2 ** (bits - 1) - 1)
        codes = found.detach() / step
        torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
        assert ((found - exact).abs() <= step * 0.501).all()


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6), min_size=1))
@settings(deadline=None)
def test_the_nearest_power_is_nearest(values):
    exact = torch.tensor(values, dtype=torch.float64)
    found = signed_power(exact)
    powers = 2.0 ** torch.arange(-30, 30).double()
    least = (exact.abs()[:, None] - powers).abs().amin(1)
    errors = (found - exact).abs()
    assert torch.allclose(errors, torch.where(exact == 0, 0, least))


def test_norms_without_scale_or_statistics_are_refused():
    for norm in (nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3, track_running_stats=False)):
        with pytest.raises(InputError, match="layer norm: found BatchNorm2d"):
            quantized_norm(norm, "norm", 8)


def test_a_quantized_norm_is_folded_as_it_computes():
    torch.manual_seed(0)
    cnn = nn.Sequential(nn.Conv2d(3, 5, 1), norm_of(nn.BatchNorm2d), nn.ReLU()).eval()
    cnn[1] = quantized_norm(cnn[1], "norm", 3)
    x = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(fold_batch_norm(cnn)(x), cnn(x), rtol=1e-4, atol=1e-5)


def separable(*, batch_norm: bool = True) -> nn.Module:
    torch.manual_seed(0)
    return build_model(CONFIG, BANDS, 4, batch_norm=batch_norm).eval()


def test_every_role_has_its_grid():
    network = quantize(separable(), PikeLPN(bits=3, depthwise_bits=5))
    assert list(layer_bits(network).values()) == [8, 5, 3, 5, 3, 5, 3, 8]
    kinds = [type(weight_quantizer(network.get_submodule(name))) for name in layer_bits(network)]
    assert [kind is ScaledShiftWeight for kind in kinds] == [False, *[True, False] * 3, False]
    assert sum(isinstance(module, QuantizedNorm) for module in network) == 7
    assert sum(isinstance(module, QuantizedReLU) for module in network) == 7
    same = quantize(separable(), PikeLPN(depthwise="uniform", norm_bits=32, activation_bits=32))
    assert not any(isinstance(m, (ScaledShiftWeight, QuantizedNorm)) for m in same.modules())


def test_norms_come_back_with_a_state_dict():
    network = quantize(separable(), PikeLPN(norm_factor="power_of_two"))
    x = torch.randn(3, 1, BANDS, 5, 5)
    network.train()(x)
    again = install(separable(), PikeLPN(norm_factor="power_of_two"))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(x), network.eval()(x))


def test_folded_batch_norms_go_into_scales_within_their_bound():
    layer = quantize(nn.Sequential(nn.Linear(20, 6)), PikeLPN(activation_bits=32))[0]
    before, factors = layer.weight.detach(), torch.tensor([1.0, -2, 0.5, 0.7, 1.3, 3])
    scale_channels(layer, factors)
    scale = weight_codes(layer).scale
    expected = before * factors[:, None]
    step = scale.max() / 255
    assert ((layer.weight - expected).abs() <= 127 * step + 0.5 * scale + 1e-6).all()


def test_an_snn_of_roles_runs():
    network = to_spiking(separable(), torch.zeros(1, 1, BANDS, 5, 5), NeuronConfig(time_steps=2))
    quantize(network, PikeLPN())
    assert network(torch.randn(2, 1, BANDS, 5, 5)).isfinite().all()
