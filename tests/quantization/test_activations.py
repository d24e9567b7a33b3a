"""Quantized activations: levels, gradients by independent means, start, and round trips."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization.activations import (
    ActivationQuantizer,
    QuantizedInput,
    QuantizedReLU,
)

BITS = range(1, 9)


def made(quantizer: str, bits: int, ceiling: float, *, signed: bool = False) -> ActivationQuantizer:
    kind = QuantizedInput if signed else QuantizedReLU
    module = kind(bits, quantizer).double()  # type: ignore[arg-type]
    with torch.no_grad():
        module.ceiling.fill_(ceiling)
    return module


def values(seed: int, spread: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(4, 3, 5, generator=generator, dtype=torch.float64)


def gradients(module: ActivationQuantizer, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    module(x).backward(grad)
    assert x.grad is not None
    assert module.ceiling.grad is not None
    return x.grad, module.ceiling.grad


@pytest.mark.parametrize("quantizer", ["lsq", "pact", "bcgd"])
@pytest.mark.parametrize("bits", BITS)
def test_activations_are_whole_steps_from_0_to_the_ceiling(quantizer: str, bits: int) -> None:
    module = made(quantizer, bits, 3.0)
    codes = module(values(bits)) / (3.0 / (2**bits - 1))
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-9)
    assert codes.min() == 0
    assert codes.max().round() == 2**bits - 1
    assert len(codes.round().unique()) <= 2**bits


@pytest.mark.parametrize("bits", range(2, 9))
def test_signed_activations_are_the_same_turned_over(bits: int) -> None:
    module, x = made("lsq", bits, 2.0, signed=True), values(bits)
    assert torch.equal(module(-x), -module(x))
    assert float(module(x).detach().max()) == pytest.approx(2.0)
    assert len(module(x).unique()) <= 2**bits - 1


def test_rounding_is_to_the_nearest_level_and_of_bcgd_upwards() -> None:
    x = torch.tensor([[-0.2, 0.0, 0.1, 0.6, 1.4, 1.6, 2.7, 9.0]], dtype=torch.float64)
    assert made("lsq", 2, 3.0)(x).tolist() == [[0, 0, 0, 1, 1, 2, 3, 3]]
    assert made("bcgd", 2, 3.0)(x).tolist() == [[0, 0, 1, 1, 2, 2, 3, 3]]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 6])
def test_gradients_of_lsq_are_those_of_rounding_taken_as_the_identity(
    bits: int, signed: bool
) -> None:
    """Autograd through s * clamp(v + const), with the rounding error v -> round(v) held fixed."""
    module, x = made("lsq", bits, 1.7, signed=signed), values(bits)
    grad = values(bits + 100)
    found = gradients(module, x, grad)
    x = x.clone().requires_grad_()
    ceiling = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    step = ceiling / module.high
    ratio = (x / step).clamp(module.low, module.high)
    (step * (ratio + (ratio.round() - ratio).detach())).backward(grad)
    assert x.grad is not None
    assert ceiling.grad is not None
    torch.testing.assert_close(found[0], x.grad)
    per_sample = 3 * 5
    torch.testing.assert_close(found[1], ceiling.grad / (per_sample * module.high) ** 0.5)


@pytest.mark.parametrize("signed", [False, True])
def test_gradients_of_pact_are_finite_differences_of_the_clip(signed: bool) -> None:
    x, grad, ceiling, eps = values(0), values(1), 1.3, 1e-6

    def clip(top: float, at: Tensor) -> Tensor:
        return (grad * at.clamp(-top if signed else 0.0, top)).sum()

    found = gradients(made("pact", 4, ceiling, signed=signed), x, grad)
    slope = (clip(ceiling + eps, x) - clip(ceiling - eps, x)) / (2 * eps)
    torch.testing.assert_close(found[1], slope, rtol=1e-6, atol=1e-8)
    of_x = torch.zeros_like(x)
    for i in range(x.numel()):
        change = torch.zeros_like(x)
        change.view(-1)[i] = eps
        of_x.view(-1)[i] = (clip(ceiling, x + change) - clip(ceiling, x - change)) / (2 * eps)
    torch.testing.assert_close(found[0], of_x, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gradients_of_bcgd_have_three_values(bits: int) -> None:
    levels, alpha = 2**bits - 1, 0.4
    module, x = made("bcgd", bits, levels * alpha), values(bits)
    grad = 1e-3 * values(bits + 50)
    of_x, of_ceiling = gradients(module, x, grad)
    total = 0.0
    for value, slope, passed in zip(x.flatten(), grad.flatten(), of_x.flatten(), strict=True):
        if value <= 0:
            assert passed == 0
        elif value <= levels * alpha:
            assert passed == slope
            total += float(slope) * 2 ** (bits - 1)
        else:
            assert passed == 0
            total += float(slope) * levels
    assert abs(total) < 1
    assert float(of_ceiling) * levels == pytest.approx(0.01 * total)
    module.ceiling.grad = None
    _, large = gradients(module, x, 1e6 * x.clamp(min=0))
    assert float(large) * levels == pytest.approx(0.01)  # the sum is clamped


def test_the_step_of_bcgd_stays_in_its_range_while_it_trains() -> None:
    module = made("bcgd", 2, 100.0)
    module(values(0))
    assert float(module.step) == 5.0
    with torch.no_grad():
        module.ceiling.fill_(-1.0)
    module(values(0))
    assert float(module.step) == pytest.approx(1e-3)


@pytest.mark.parametrize("quantizer", ["lsq", "pact", "bcgd"])
@pytest.mark.parametrize("bits", [1, 3, 6])
def test_the_ceiling_starts_at_the_min_squared_error(quantizer: str, bits: int) -> None:
    module, x = made(quantizer, bits, 0.0), values(7).repeat(50, 1, 1)
    x = x + 0.1 * values(8).repeat(50, 1, 1)
    module(x)
    chosen = float(module.ceiling.detach())

    def error(ceiling: float) -> float:
        other = made(quantizer, bits, ceiling)
        return float((other(x).detach() - x.relu()).square().sum())

    tried = torch.linspace(0.05, float(x.max()), 50).tolist()
    assert error(chosen) <= 1.01 * min(map(error, tried))
    module(10 * x)
    assert float(module.ceiling.detach()) == chosen


def test_values_that_are_never_positive_leave_a_ceiling_that_works() -> None:
    module = QuantizedReLU(4)
    assert module(-torch.rand(3, 4)).abs().max() == 0
    assert float(module.ceiling.detach()) > 0


def test_a_state_dict_and_a_deep_copy_keep_the_ceiling() -> None:
    module = QuantizedReLU(3)
    module(torch.rand(4, 8))
    other = QuantizedReLU(3)
    other.load_state_dict(module.state_dict())
    x = 2 * torch.randn(5, 8)
    assert torch.equal(other(x), module(x))
    assert torch.equal(copy.deepcopy(module)(x), module(x))
    assert list(module.state_dict()) == ["ceiling"]
    assert isinstance(module, nn.ReLU)


def test_training_moves_the_ceiling_to_where_the_loss_wants_it() -> None:
    module, x = QuantizedReLU(4), torch.rand(64, 16)
    with torch.no_grad():
        module.ceiling.fill_(0.3)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        (module(x) - x).square().mean().backward()
        optimizer.step()
    assert 0.9 < float(module.ceiling.detach()) < 1.1


@pytest.mark.parametrize(
    ("kind", "bits", "quantizer", "line"),
    [
        (QuantizedReLU, 0, "lsq", "activation bits: found 0, expected 1 to 8"),
        (QuantizedReLU, 9, "lsq", "activation bits: found 9, expected 1 to 8"),
        (QuantizedInput, 1, "lsq", "activation bits: found 1, expected 2 to 8"),
        (QuantizedReLU, 4, "no", "activation quantizer: found 'no', expected lsq or pact or bcgd"),
        (
            *(QuantizedInput, 4, "bcgd"),
            "activation quantizer: found bcgd for signed values, expected lsq",
        ),
    ],
)
def test_bad_settings_are_refused_in_a_line(kind, bits, quantizer, line) -> None:
    with pytest.raises(InputError) as caught:
        kind(bits, quantizer)
    assert str(caught.value) == line
