from __future__ import annotations

import pytest
import torch
from torch import nn

from snnquant.nn.pooling import AvgPool2d


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 5},
        {"kernel_size": (5, 5), "stride": 1},
        {"kernel_size": 5, "padding": 2},
        {"kernel_size": 5, "divisor_override": 3},
        {"kernel_size": (5, 2)},
        {"kernel_size": 2},
    ],
)
@pytest.mark.parametrize("last", [False, True], ids=["channels_first", "channels_last"])
def test_values_and_gradients_are_those_of_torch(options, last):
    form = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=form)
    results = []
    for pool in (nn.AvgPool2d(**options), AvgPool2d(**options)):
        values = x.clone().requires_grad_()
        means = pool(values)
        (gradient,) = torch.autograd.grad(means.square().sum(), values)
        results.append((means, gradient, pool(x)))
    for expected, found in zip(*results, strict=True):
        assert torch.equal(found, expected)


def test_the_gradient_has_a_gradient():
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: AvgPool2d(5)(x).pow(3), x)
