"""Tests of the projections of BCGD and DoReFa: by hand, least squares, finite differences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.quantization import quantize, scale_channels, weight_quantizer
from snnquant.quantization.estimators import ESTIMATORS, ste
from snnquant.quantization.methods.bcgd import BCGD
from snnquant.quantization.methods.dorefa import DoReFa
from snnquant.quantization.projections import (
    Blending,
    ProjectedWeight,
    TanhWeight,
    project,
    tanh_codes,
)

W = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))


def test_binary_by_hand() -> None:
    codes, scale = project(torch.tensor([[0.6, -0.2, 0.0, -0.0]]), 1, per_channel=False)
    assert codes.tolist() == [[1, -1, 1, -1]]
    assert scale.item() == pytest.approx(0.2)


def test_ternary_by_hand() -> None:
    """The scale is the mean over the weights kept, not over all."""
    codes, scale = project(torch.tensor([[0.9, -0.7, 0.1, 0.1]]), 2, per_channel=False)
    assert codes.tolist() == [[1, -1, 0, 0]]
    assert scale.item() == pytest.approx(0.8)


def test_four_bits_by_hand() -> None:
    """The max is 1.5, so that d = 0.1 and |w| in ((2k - 1) 0.1, (2k + 1) 0.1] has code k."""
    weight = torch.tensor([[1.5, -1.31, 1.29, 0.31, 0.29, -0.11, 0.09]])
    codes, scale = project(weight, 4, per_channel=False)
    assert codes.tolist() == [[7, -7, 6, 2, 1, -1, 0]]
    size, k = weight.abs(), codes.abs()
    assert scale.item() == pytest.approx(((size * k).sum() / (k * k).sum()).item())


@given(st.sampled_from([1, 2, 3, 4, 8]), st.booleans(), st.integers(0, 2**31))
@settings(deadline=None, max_examples=60)
def test_the_scale_is_that_of_least_squares(bits: int, per_channel: bool, seed: int) -> None:
    weight = torch.randn(3, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    codes, scale = project(weight, bits, per_channel=per_channel)
    assert codes.abs().max() <= max(1, 2 ** (bits - 1) - 1)
    assert torch.equal(codes, codes.round())
    axes = (1,) if per_channel else (0, 1)
    least = (codes * scale - weight).square().sum(axes)
    for factor in (0.999, 1.001):
        assert ((codes * scale * factor - weight).square().sum(axes) > least).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_silent_channels_stay_silent(bits: int) -> None:
    weight = torch.stack([torch.zeros(5), torch.ones(5)])
    codes, scale = project(weight, bits, per_channel=True)
    assert torch.equal(codes * scale, weight)


def test_dorefa_by_hand() -> None:
    """At 2 bits, x = tanh w / (2 max|tanh w|) + 1/2 is rounded to thirds."""
    weight = torch.atanh(torch.tensor([[0.8, 0.55, 0.5, 0.1, -0.2, -0.8]]))
    value = tanh_codes(weight, 2, ste) / 3
    torch.testing.assert_close(value, torch.tensor([[3.0, 3, 1, 1, -1, -3]]) / 3)


@given(st.integers(1, 7), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_dorefa_is_its_formula(bits: int, seed: int) -> None:
    weight = torch.randn(3, 9, generator=torch.Generator().manual_seed(seed))
    bent, levels = weight.tanh(), 2**bits - 1
    formula = 2 * torch.round(levels * (bent / (2 * bent.abs().max()) + 0.5)) / levels - 1
    quantizer = TanhWeight(weight, bits, "ste", keep_range=False)
    torch.testing.assert_close(quantizer(weight), formula)
    assert formula.abs().max() == 1


def test_the_gradient_of_dorefa_is_that_of_its_smooth_map() -> None:
    """Central differences of tanh w / max|tanh w|, the largest weight among the moved ones."""
    weight = W[0].double().clone().requires_grad_()
    outer = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(tanh_codes(weight, 3, ste) / 7, weight, outer)

    def smooth(w: Tensor) -> Tensor:
        return (outer * w.tanh() / w.tanh().abs().max()).sum()

    for index in range(weight.numel()):
        step = torch.zeros(12, dtype=torch.float64)
        step[index] = 1e-6
        moved = step.view(4, 3)
        slope = (smooth(weight.detach() + moved) - smooth(weight.detach() - moved)) / 2e-6
        assert gradient.flatten()[index].item() == pytest.approx(slope.item(), abs=1e-7)


def test_dorefa_takes_an_estimator() -> None:
    found = {}
    for name in ("ste", "clipped", "cosine"):
        weight = W[0].clone().requires_grad_()
        tanh_codes(weight, 3, ESTIMATORS.get(name)).sum().backward()
        found[name] = weight.grad
    torch.testing.assert_close(found["ste"], found["clipped"])
    assert not torch.allclose(found["ste"], found["cosine"])  # type: ignore[arg-type]


def test_a_trained_layer_keeps_its_range() -> None:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.mul_(0.01)
    largest = layer.weight.abs().max().item()
    quantize(layer, DoReFa(bits=3))
    assert layer.weight.abs().max().item() == pytest.approx(largest, rel=1e-6)
    assert quantize(nn.Linear(3, 2), DoReFa(scale="unit")).weight.abs().max() == 1


@pytest.mark.parametrize(
    "config",
    [DoReFa(bits=3), BCGD(granularity="channel"), BCGD(bits=4, granularity="channel")],
    ids=str,
)
def test_channels_can_be_rescaled(config: DoReFa | BCGD) -> None:
    torch.manual_seed(0)
    layer, factors = nn.Linear(9, 3), torch.tensor([4.0, -0.5, 0.3])
    quantize(layer, config)
    config.require_channel_scales()
    before = layer.weight.detach().clone()
    scale_channels(layer, factors)
    torch.testing.assert_close(layer.weight.detach(), before * factors[:, None])


def network(config: BCGD) -> nn.Sequential:
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    quantize(layers, config)
    return layers


def latent(layer: nn.Module) -> nn.Parameter:
    return layer.parametrizations.weight.original  # type: ignore[return-value,union-attr]


def trained(config: BCGD, *, with_rule: bool) -> nn.Sequential:
    """Return a network after 20 steps of momentum on random data."""
    layers = network(config)
    x = torch.randn(32, 8, generator=torch.Generator().manual_seed(1))
    y = torch.arange(32) % 4
    rules = [make(layers) for make in config.plan().rules] if with_rule else []
    optimizer = torch.optim.SGD(layers.parameters(), lr=0.1, momentum=0.95)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(layers(x), y).backward()
        for rule in rules:
            rule.before_step()
        optimizer.step()
    return layers


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_without_blending_it_is_plain_coarse_gradient(bits: int) -> None:
    config = BCGD(bits=bits, blending=0.0)
    plain, ruled = (trained(config, with_rule=with_rule) for with_rule in (False, True))
    assert torch.equal(latent(plain[0]), latent(ruled[0]))
    blended = trained(BCGD(bits=bits, blending=0.01), with_rule=True)
    assert not torch.equal(latent(blended[0]), latent(ruled[0]))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_step_blends_first_and_descends_then(bits: int) -> None:
    layers, rho, rate = network(BCGD(bits=bits)), 0.25, 0.5
    quantizer, weight = weight_quantizer(layers[0]), latent(layers[0])
    assert isinstance(quantizer, ProjectedWeight)
    start, levels = weight.detach().clone(), quantizer(weight).detach()
    layers(torch.ones(1, 8)).square().sum().backward()
    assert weight.grad is not None
    Blending(layers, rho).before_step()
    torch.optim.SGD(layers.parameters(), lr=rate).step()
    expected = (1 - rho) * start + rho * levels - rate * weight.grad
    torch.testing.assert_close(weight.detach(), expected)


def test_blending_draws_weights_to_their_levels() -> None:
    layers = network(BCGD(bits=1))
    rule, weight = Blending(layers, 0.1), latent(layers[0])
    quantizer = weight_quantizer(layers[0])
    assert quantizer is not None
    gaps = []
    for _ in range(3):
        gaps.append((quantizer(weight) - weight).square().sum().item())
        rule.before_step()
    assert gaps[1] / gaps[0] == pytest.approx(0.81, abs=1e-4)  # (1 - 0.1)^2: the levels stay
    assert gaps[2] < gaps[1]
