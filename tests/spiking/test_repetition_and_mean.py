from __future__ import annotations

import pytest
import torch

from snnquant.spiking.steps import mean, repeat


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("last", [False, True], ids=["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_torch(steps, last, dtype) -> None:
    generator = torch.Generator().manual_seed(steps)
    x = torch.randint(2, (steps, 3, 4, 2, 2), generator=generator).to(dtype)
    if last:
        x = x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    weights = torch.randn(x.shape, generator=generator, dtype=dtype)
    x.requires_grad_()
    pairs = [
        (mean(x), x.mean(0), weights[0]),
        (repeat(x[0], steps), x[0].expand(steps, *x.shape[1:]), weights),
    ]
    for found, expected, outer in pairs:
        assert torch.equal(found, expected)
        gradients = [torch.autograd.grad(y, x, outer)[0] for y in (found, expected)]
        torch.testing.assert_close(*gradients)


def test_the_mean_of_a_repetition_is_a_view_backwards() -> None:
    x = torch.ones(4, 3, requires_grad=True)
    grads: list[torch.Tensor] = []
    x.register_hook(grads.append)
    (mean(x) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert grads[0].stride(0) == 0
    assert torch.equal(x.grad, torch.tensor([0.25, 0.5, 0.75]).expand(4, 3))


def test_means_of_narrow_numbers_are_summed_in_float32() -> None:
    x = torch.full((300, 1), 1.0, dtype=torch.bfloat16)
    assert mean(x).item() == 1


def test_gradients_have_gradients() -> None:
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: mean(x).pow(3), x)
    assert torch.autograd.gradgradcheck(lambda x: repeat(x, 2).pow(3), x)
