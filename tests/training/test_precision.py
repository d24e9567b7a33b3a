"""Changes by `--precision bfloat16`, and their bounds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, TrainingConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn.convolutions import Conv2d, Conv3d
from snnquant.training.loss import Loss

STEP = 2.0**-8
"""Largest relative error of a rounding to 8 significant bits."""


def lower() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


def test_a_dense_product_is_off_by_two_roundings_of_its_factors_and_one_of_itself() -> None:
    torch.manual_seed(0)
    layer, x = Conv2d(30, 20, 3), torch.randn(50, 30, 3, 3)
    exact = layer.double()(x.double())
    terms = nn.functional.conv2d(x.double().abs(), layer.weight.abs(), layer.bias.abs())
    with lower():
        found = layer.float()(x).double()
    assert found.dtype == torch.float64
    assert not torch.allclose(found, exact, rtol=1e-5, atol=1e-5)
    assert ((found - exact).abs() <= 2.5 * STEP * terms + STEP * exact.abs()).all()


@pytest.mark.parametrize(
    "layer", [Conv2d(3, 4, 2), Conv3d(1, 4, (3, 2, 2)), Conv3d(1, 4, (3, 1, 1))]
)
def test_convolutions_that_slide_keep_every_bit(layer: nn.Module) -> None:
    x = torch.randn(5, layer.in_channels, *(6,) * (layer.weight.ndim - 2))
    expected = layer(x)
    with lower():
        found = layer(x)
        from_lower = layer(x.bfloat16())
    assert torch.equal(found, expected)
    assert torch.equal(from_lower, layer(x.bfloat16().float()))


@pytest.mark.parametrize("spiking", [False, True])
def test_losses_and_gradients_stay_close_and_are_of_float32(spiking: bool) -> None:
    torch.manual_seed(0)
    x, classes = torch.randn(32, 1, 20, 5, 5), torch.randint(4, (32,))
    network: nn.Module = build_model(ModelConfig(dropout=0), 20, 4)
    if spiking:
        network = to_spiking(network, x[:1], NeuronConfig())
    losses, gradients = [], []
    for precision in ("float32", "bfloat16"):
        config = TrainingConfig(distillation=0.0, precision=precision)
        loss = Loss(network, None, config, None)(x, classes, torch.arange(len(x)))
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert loss.dtype == torch.float32
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.ravel() for p in network.parameters()]))
    assert not torch.equal(*gradients)
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert torch.cosine_similarity(*gradients, 0) > 0.98


def test_unknown_precisions_are_refused() -> None:
    with pytest.raises(InputError, match="--precision: found 'float16', expected float32 or bfl"):
        TrainingConfig(precision="float16")  # type: ignore[arg-type]
