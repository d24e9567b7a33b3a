"""Mathematics of LNS-Madam: exponents on their grid, updates in whole numbers, what stays away."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization import quantize, scale_channels, weight_codes
from snnquant.quantization.logarithmic import HEADROOM, LogError, LogWeight, Madam
from snnquant.quantization.methods.lns_madam import LNSMadam

RATE = 1 / 128
STEPS = 8 * 2**8
"""Exponents per factor 2 of stored weights of 16 bits, beside weights of 8."""


def layer_and_madam(**options: float) -> tuple[nn.Linear, nn.Parameter, Madam]:
    torch.manual_seed(0)
    layer = nn.Linear(20, 30)
    quantize(layer, LNSMadam())
    madam = Madam(layer, RATE, options.get("weight_decay", 0.0), 2e-3, 16)
    return layer, layer.parametrizations.weight.original, madam


def stored(weight: Tensor, madam: Madam) -> Tensor:
    """Return the exponents of stored weights, not rounded, in float64."""
    scale = madam.state[weight]["scale"].double()
    return -STEPS * (weight.detach().double().abs() / scale).log2()


@given(st.sampled_from([2, 4, 6, 8]), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_weights_are_the_nearest_exponents(bits: int, seed: int) -> None:
    weight = torch.randn(4, 50, generator=torch.Generator().manual_seed(seed))
    quantizer = LogWeight(weight, bits)
    codes = quantizer.encode(weight)
    assert torch.equal(codes.exponent, codes.exponent.round())
    assert 0 <= codes.exponent.min() <= codes.exponent.max() <= 2 ** (bits - 1) - 1
    ratio = (quantizer(weight) / weight).log2().abs()
    smallest = quantizer.scale * 2.0 ** (-(2 ** (bits - 1) - 1) / quantizer.steps)
    assert (ratio <= 0.5 / quantizer.steps + 1e-5)[weight.abs() > smallest].all()
    assert torch.equal(quantizer(weight).sign(), weight.sign())


def test_stored_weights_stay_on_their_grid_exactly() -> None:
    _, weight, madam = layer_and_madam()
    for step in range(30):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(step))
        madam.step()
        exact = stored(weight, madam)
        assert (exact - exact.round()).abs().max() < 2e-3  # what float32 holds of a logarithm
        assert 0 <= exact.round().min() <= exact.round().max() < 2**15


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_the_update_is_that_of_whole_numbers(weight_decay: float) -> None:
    """Exponents in int64, and the same factors on float64, beside the optimizer for 40 steps."""
    _, weight, madam = layer_and_madam(weight_decay=weight_decay)
    sign = weight.detach().sign().long()
    whole = stored(weight, madam).round().long().clamp(0, 2**15 - 1)
    scale = madam.state[weight]["scale"].double()
    free = sign * scale * torch.exp2(-whole / STEPS)
    mean, decay = torch.zeros_like(weight), round(STEPS * RATE * weight_decay / math.log(2))
    for step in range(1, 41):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(step))
        mean = 0.999 * mean + 0.001 * weight.grad.square()
        relative = (weight.grad / (mean / (1 - 0.999**step)).sqrt()).clamp(-10, 10).round()
        whole = (whole + (16 * relative).long() * sign + decay).clamp(0, 2**15 - 1)
        free = free * torch.exp2(-RATE * relative * free.sign()) * math.exp(-RATE * weight_decay)
        madam.step()
        assert torch.equal(stored(weight, madam).round().long(), whole)
    inside = (whole > 0) & (whole < 2**15 - 1)
    if not weight_decay:
        assert torch.allclose(free[inside].float(), weight.detach()[inside], rtol=1e-4)
    assert inside.any()


def test_weights_stop_at_three_times_their_root_mean_square() -> None:
    _, weight, madam = layer_and_madam()
    limit = HEADROOM * weight.detach().square().mean().sqrt()
    for _ in range(600):
        weight.grad = -weight.detach().sign()
        madam.step()
    assert weight.detach().abs().max().item() == pytest.approx(limit.item(), rel=1e-5)


def test_a_weight_without_any_gradient_stays() -> None:
    _, weight, madam = layer_and_madam()
    madam.step()
    before = weight.detach().clone()
    weight.grad = torch.zeros_like(weight)
    weight.grad[0, 0] = 1e-30  # its square underflows
    madam.step()
    assert weight.isfinite().all()
    assert torch.allclose(weight.detach().flatten()[1:], before.flatten()[1:], rtol=2e-4)


def test_zeros_signs_and_all_else_than_weights_are_safe() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].weight)
    quantize(model, LNSMadam())
    madam = Madam(model, RATE, 0.0, 0.01, 16)
    moved = {id(p) for p in madam.param_groups[0]["params"]}
    first = model[0].parametrizations.weight.original
    assert moved == {id(first)}
    signs = first.detach().sign()
    for step in range(20):
        for parameter in model.parameters():
            draw = torch.Generator().manual_seed(step)
            parameter.grad = 1 + torch.randn(parameter.shape, generator=draw)
        madam.step()
    assert torch.equal(first.detach().sign(), signs)
    assert model[0].bias.detach().abs().min() > 0.05
    assert model[2].weight.detach().abs().min() > 0.05
    assert (model[1].weight.detach() - 1).abs().min() > 0.05


def test_a_single_zero_stays_zero() -> None:
    layer, weight, _ = layer_and_madam()
    with torch.no_grad():
        weight[0, 0] = 0.0
    madam = Madam(layer, RATE, 0.0, 2e-3, 16)
    weight.grad = torch.ones_like(weight)
    madam.step()
    assert weight[0, 0] == 0
    assert layer.weight[0, 0] == 0
    assert weight.isfinite().all()


def test_errors_keep_zeros_signs_and_their_largest() -> None:
    error = torch.randn(7, 9, generator=torch.Generator().manual_seed(0))
    error[error.abs() < 0.3] = 0.0
    quantized = LogError(8).quantize(error)
    assert torch.equal(quantized.sign(), error.sign())
    assert quantized.abs().max() == error.abs().max()
    assert (quantized / error)[error != 0].log2().abs().max() <= 1 / 16 + 1e-5
    assert torch.equal(LogError(8).quantize(torch.zeros(3)), torch.zeros(3))


def test_channels_can_be_rescaled() -> None:
    layer, _, _ = layer_and_madam()
    before, exponent = layer.weight.detach(), weight_codes(layer).exponent
    factors = torch.linspace(-2, 2, 30)
    scale_channels(layer, factors)
    assert torch.allclose(layer.weight, before * factors[:, None], rtol=1e-5)
    assert torch.equal(weight_codes(layer).exponent, exponent)


def test_the_integer_engine_refuses_the_codes() -> None:
    layer, _, _ = layer_and_madam()
    with pytest.raises(InputError, match="found codes on a logarithmic grid"):
        weight_codes(layer).uniform()
