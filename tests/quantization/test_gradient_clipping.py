"""Adaptive gradient clipping: the bound, and gradients that it leaves as they are."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from snnquant.quantization import GradientClipping, QuantizationConfig, Rule, quantize


@given(
    st.floats(1e-3, 1.0), st.floats(1e-4, 0.1), st.floats(-4, 4), st.booleans(), st.integers(0, 999)
)
def test_no_gradient_is_longer_than_a_share_of_its_filter(
    limit: float, floor: float, size: float, quantized: bool, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Conv3d(2, 5, (3, 1, 2)), nn.Flatten(), nn.Linear(7, 4))
    if quantized:
        quantize(network, QuantizationConfig(bits=4))
    rule = GradientClipping(network, limit, floor)
    assert isinstance(rule, Rule)
    for weight in rule.weights:
        weight.data = torch.randn(weight.shape, generator=draw)
        weight.data[0] = 0.0
        weight.grad = torch.randn(weight.shape, generator=draw) * 10**size
        weight.grad[1] = 0.0
    bias = network[0].bias
    assert bias is not None
    bias.grad = torch.full_like(bias, 1e6)
    before = [weight.grad.clone() for weight in rule.weights if weight.grad is not None]
    rule.before_step()
    assert len(before) == 2
    assert (bias.grad == 1e6).all()
    for weight, old in zip(rule.weights, before, strict=True):
        assert weight.grad is not None
        assert weight.grad.isfinite().all()
        length, own = (t.flatten(1).norm(dim=1) for t in (weight.grad, weight.data))
        bound = limit * own.clamp(min=floor)
        assert (length <= bound * (1 + 1e-5)).all()
        short = old.flatten(1).norm(dim=1) < bound * (1 - 1e-5)
        assert torch.equal(weight.grad[short], old[short])
        torch.testing.assert_close(length[~short & (length > 0)], bound[~short & (length > 0)])
        cosine = nn.functional.cosine_similarity(weight.grad.flatten(1), old.flatten(1))
        torch.testing.assert_close(cosine[length > 0], torch.ones_like(cosine[length > 0]))


def test_layers_without_gradients_are_passed_over() -> None:
    network = nn.Linear(3, 2)
    GradientClipping(network).before_step()
    assert network.weight.grad is None
