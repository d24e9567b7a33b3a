"""Binary weights of learnt scale: gradients of the bilinear loss, and the recurrent update."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization import integer_weights, layer_bits, quantize, scale_channels
from snnquant.quantization.methods import RBONN
from snnquant.quantization.recurrent_binary import (
    UNIT,
    LearntScaleWeight,
    RecurrentUpdate,
    small_scales,
)

BILINEAR = 0.3


def bilinear_loss(weight: Tensor, alpha: Tensor, b: Tensor, target: Tensor) -> Tensor:
    """Return a loss of the value, |alpha b - target|^2 / 2, plus the bilinear term."""
    value = alpha.abs() * b
    return ((value - target).square().sum() + BILINEAR * (weight - value).square().sum()) / 2


def made(seed: int) -> tuple[LearntScaleWeight, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(4, 3, 2, generator=draw, dtype=torch.float64).requires_grad_()
    quantizer = LearntScaleWeight(weight, BILINEAR, 0.2)
    quantizer.alpha.data *= torch.tensor([1.0, -1.0, 2.0, -0.5]).view(4, 1, 1)
    return quantizer, weight, torch.randn(4, 3, 2, generator=draw, dtype=torch.float64)


@given(st.integers(0, 2**16))
def test_gradients_are_differences_of_the_bilinear_loss(seed: int) -> None:
    quantizer, weight, target = made(seed)
    value = quantizer(weight)
    ((value - target).square().sum() / 2).backward()
    b, alpha, h = UNIT * torch.where(weight < 0, -1.0, 1.0).double(), quantizer.alpha.detach(), 1e-6
    for k in range(4):
        step = torch.zeros_like(alpha)
        step[k] = h
        ends = [bilinear_loss(weight, alpha + s * step, b, target) for s in (1, -1)]
        found = quantizer.alpha.grad[k].item()
        assert found == pytest.approx(((ends[0] - ends[1]) / (2 * h)).item(), rel=1e-4, abs=1e-6)
    # By w: the term's own gradient with b fixed, and the value's straight through alpha w.
    fixed = value.detach()

    def around(w: Tensor) -> Tensor:
        passed = fixed + alpha.abs() * (w - weight.detach())
        term = BILINEAR * (w - fixed).square().sum()
        return ((passed - target).square().sum() + term) / 2

    for place in [(0, 0, 0), (1, 2, 1), (3, 1, 0)]:
        step = torch.zeros_like(fixed)
        step[place] = h
        w = weight.detach()
        slope = (around(w + step) - around(w - step)).item() / (2 * h)
        assert weight.grad is not None
        assert weight.grad[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-6)


@given(
    st.lists(st.floats(0.01, 10), min_size=1, max_size=30, unique=True),
    st.sampled_from([0.0, 0.25, 0.4, 1.0]),
)
def test_filters_are_chosen_by_rank(alpha: list[float], share: float) -> None:
    found = small_scales(torch.tensor(alpha, dtype=torch.float64).view(-1, 1, 1), share).flatten()
    number = round(share * len(alpha))
    assert found.sum() == number
    chosen = {value for value, one in zip(alpha, found.tolist(), strict=True) if one}
    assert chosen == set(sorted(alpha)[:number])


def test_indices_of_a_sort_are_no_ranks() -> None:
    """The smallest of (2, 3, 1) is the last, whose index in the sort's result is 0."""
    alpha = torch.tensor([[2.0], [3.0], [1.0]])
    assert small_scales(alpha, 1 / 3).flatten().tolist() == [0, 0, 1]
    by_index = (alpha.flatten().argsort() < 1).tolist()
    assert by_index != [False, False, True]


def three_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*[nn.Linear(6, 6) for _ in range(3)])


def test_only_layers_between_the_ends_are_binary() -> None:
    network = quantize(three_layers(), RBONN(ends_bits=6))
    assert layer_bits(network) == {"0": 6, "1": 1, "2": 6}
    codes, scale, zero_point = integer_weights(network[1])
    assert set(codes.unique().tolist()) == {-1, 1}
    assert torch.equal((codes - zero_point) * scale, network[1].weight)
    before, factors = network[1].weight.detach(), torch.tensor([2.0, -1.0, 0.5, 1.0, -3.0, 1.0])
    scale_channels(network[1], factors)
    torch.testing.assert_close(network[1].weight, before * factors[:, None])


def test_filters_of_small_scale_get_the_last_gradient_again() -> None:
    network = quantize(three_layers(), RBONN())
    rule = RecurrentUpdate(network, share=0.5)
    ((quantizer, weight),) = rule.layers
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x, grads, chosen = torch.randn(5, 6), [], []
    for step in range(2):
        optimizer.zero_grad()
        network(x).square().mean().backward()
        before, factor = weight.detach().clone(), quantizer.factor.detach().clone()
        rule.before_step()
        assert weight.grad is not None
        grads.append(weight.grad.clone())
        optimizer.step()
        rule.after_step()
        small = small_scales(quantizer.alpha.detach(), 0.5)
        if step:  # the loss by the factor, through w - U D g of the step before
            slope = -(grads[1] * chosen[0] * grads[0]).sum(1, keepdim=True)
            torch.testing.assert_close(quantizer.factor.detach(), factor - 0.1 * 0.1 * slope)
            assert (slope != 0).sum() == 3
        else:
            assert torch.equal(quantizer.factor.detach(), factor)
        moved = before - 0.1 * grads[-1] - quantizer.factor.detach() * small * grads[-1]
        torch.testing.assert_close(weight.detach(), moved)
        chosen.append(small)
    other = RecurrentUpdate(copy.deepcopy(network), share=0.5)
    other.load_state_dict(rule.state_dict())
    assert torch.equal(other.given[0], rule.given[0])


def test_other_bits_are_refused() -> None:
    with pytest.raises(InputError, match="found 2, expected 1"):
        RBONN(bits=2)
