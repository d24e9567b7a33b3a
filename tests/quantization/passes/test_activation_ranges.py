from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from snnquant.quantization import Calibration, quantize
from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.methods import PostTraining
from snnquant.quantization.passes.activation_ranges import set_ceilings, unquantized_activations


def network() -> tuple[nn.Sequential, torch.Tensor]:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(16, 3)).eval(), torch.randn(300, 1, 5, 5)


def replaced(network: nn.Sequential, bits: int = 3) -> nn.Sequential:
    other = copy.deepcopy(network)
    for place in (1, 3):
        other[place] = QuantizedReLU(bits)
    return other.eval()


def ceilings(network: nn.Module) -> list[float]:
    return [m.ceiling.item() for m in network.modules() if isinstance(m, QuantizedReLU)]


def test_the_largest_value_is_that_of_plain_activations() -> None:
    plain, x = network()
    other = replaced(plain)
    set_ceilings(other, x, "max")
    first = plain[1](plain[0](x))
    expected = [first.max().item(), plain[3](plain[2](first)).max().item()]
    assert ceilings(other) == pytest.approx(expected)


def test_least_squares_loses_less_than_the_largest_value() -> None:
    plain, x = network()
    other = replaced(plain, 2)
    values = plain[1](plain[0](x))

    def error(how: Any) -> float:
        set_ceilings(other, x, how)
        return (other[1](values) - values).square().mean().item()

    assert error("mse") < 0.8 * error("max")
    found = ceilings(other)
    set_ceilings(other, x, "mse")
    assert ceilings(other)[0] < found[0]


def test_moments_are_those_of_a_batch_norm_or_measured() -> None:
    plain, x = network()
    other = replaced(plain)
    set_ceilings(other, x, "moments")
    values = plain[0](x).transpose(0, 1).flatten(1)
    expected = (values.mean(1) + 6 * values.std(1, correction=0)).max()
    assert ceilings(other)[0] == pytest.approx(expected.item(), rel=1e-5)
    norm = nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([0.5, 1.0, -1.0]))
        norm.weight.copy_(torch.tensor([-2.0, 1.0, 0.1]))
    normed = nn.Sequential(nn.Sequential(plain[0], norm), QuantizedReLU(3)).eval()
    set_ceilings(normed, x, "moments")
    assert ceilings(normed) == [12.5]


def test_a_silent_layer_has_a_ceiling_all_the_same() -> None:
    plain, x = network()
    with torch.no_grad():
        plain[0].weight.zero_()
        plain[0].bias.fill_(-1.0)
    for how in ("max", "mse", "moments"):
        other = replaced(plain)
        set_ceilings(other, x, how)  # type: ignore[arg-type]
        assert ceilings(other)[0] > 0
        assert other(x).isfinite().all()


def test_activations_are_quantized_again_after_the_block() -> None:
    plain, x = network()
    other = replaced(plain)
    set_ceilings(other, x, "max")
    quantized = other(x)
    with unquantized_activations(other):
        assert torch.equal(other(x), plain(x))
    assert torch.equal(other(x), quantized)
    assert not torch.equal(quantized, plain(x))


@pytest.mark.parametrize(
    "options",
    [{"correct": "empirical"}, {"correct": "none", "round": "adaround", "iterations": 20}],
)
def test_ranges_come_after_corrections_and_rounding(options: Any) -> None:
    plain, x = network()
    weights = quantize(
        copy.deepcopy(plain), PostTraining(bits=3, activation_bits=32, **options), Calibration(x)
    )
    both = quantize(
        copy.deepcopy(plain), PostTraining(bits=3, activation_bits=2, **options), Calibration(x)
    )
    assert torch.equal(weights[0].bias, both[0].bias)  # type: ignore[index]
    assert torch.equal(weights[5].bias, both[5].bias)  # type: ignore[index]
    assert torch.equal(weights[5].weight, both[5].weight)  # type: ignore[index]
    other = replaced(weights, 2)  # type: ignore[arg-type]
    set_ceilings(other, x, "mse")
    assert ceilings(other) == ceilings(both)
    assert torch.equal(other(x), both(x))


@pytest.mark.parametrize(
    ("ranges", "how"),
    [("minmax", "max"), ("mse", "mse"), ("cross_entropy", "mse"), ("batch_norm", "moments")],
)
def test_every_name_of_ranges_has_its_ceiling(ranges: Any, how: Any) -> None:
    plain, x = network()
    config = PostTraining(bits=8, activation_bits=4, ranges=ranges)
    found = quantize(plain, config, Calibration(x))
    expected = ceilings(found)
    set_ceilings(found, x, how)
    assert ceilings(found) == expected
