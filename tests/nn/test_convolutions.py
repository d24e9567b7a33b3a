from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.nn.convolutions import Conv2d, Conv3d

AXIS = st.tuples(st.integers(1, 4), st.integers(0, 2), st.integers(1, 3))  # kernel, slack, stride


@pytest.mark.parametrize(
    ("ours", "torchs", "axes"), [(Conv2d, nn.Conv2d, 2), (Conv3d, nn.Conv3d, 3)]
)
@given(data=st.data())
@settings(deadline=None, max_examples=80)
def test_values_and_gradients_are_those_of_torch(ours, torchs, axes, data):
    sizes = [data.draw(AXIS) for _ in range(axes)]
    options = {
        "stride": tuple(stride for _, _, stride in sizes),
        "padding": data.draw(st.sampled_from([0, 0, 1])),
        "dilation": data.draw(st.sampled_from([1, 1, 2])),
        "groups": data.draw(st.sampled_from([1, 1, 2])),
        "bias": data.draw(st.booleans()),
    }
    kernel = tuple(size for size, _, _ in sizes)
    reach = options["dilation"]
    shape = [reach * (size - 1) + 1 + slack for size, slack, _ in sizes]
    torch.manual_seed(data.draw(st.integers(0, 999)))
    plain = torchs(2, 4, kernel, **options).double()
    same = ours(2, 4, kernel, **options).double()
    same.load_state_dict(plain.state_dict())
    x = torch.randn(3, 2, *shape, dtype=torch.float64)
    results = []
    for module in (plain, same):
        pixels = x.clone().requires_grad_()
        output = module(pixels)
        output.square().sum().backward()
        results.append([output.detach(), pixels.grad, *(p.grad for p in module.parameters())])
    for expected, found in zip(*results, strict=True):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@given(
    channels=st.integers(1, 3),
    bands=st.integers(1, 30),
    side=st.integers(1, 5),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_kernels_over_all_bands_are_those_of_torch(channels, bands, side, stride, bias, seed):
    torch.manual_seed(seed)
    plain = nn.Conv3d(channels, 5, (bands, 1, 1), stride, bias=bias).double()
    same = Conv3d(channels, 5, (bands, 1, 1), stride, bias=bias).double()
    same.load_state_dict(plain.state_dict())
    x = torch.randn(3, channels, bands, side, side, dtype=torch.float64)
    results = []
    for module in (plain, same):
        pixels = x.clone().requires_grad_()
        output = module(pixels)
        output.exp().sum().backward()
        results.append([output.detach(), pixels.grad, *(p.grad for p in module.parameters())])
    for expected, found in zip(*results, strict=True):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("last", [False, True], ids=["channels_first", "channels_last"])
def test_kernels_of_one_pixel_are_those_of_torch(last):
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 5, 1).double()
    same = Conv2d(3, 5, 1).double()
    same.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    results = []
    for module in (plain, same):
        pixels = x.clone().requires_grad_()
        output = module(pixels)
        output.exp().sum().backward()
        results.append([output.detach(), pixels.grad, *(p.grad for p in module.parameters())])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert output.is_contiguous(memory_format=torch.channels_last)
