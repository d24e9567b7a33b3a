from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.config import ModelConfig
from snnquant.conversion import fold_batch_norm
from snnquant.models import build_model

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
PRECISION = {torch.float64: 1e-12, torch.float32: 1e-5}


def with_random_statistics(model: nn.Sequential, seed: int) -> nn.Sequential:
    """Return the model with random statistics and scales in its batch norms, some negative."""
    random = torch.Generator().manual_seed(seed)
    for module in model:
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            module.running_mean.normal_(0, 2, generator=random)
            module.running_var.uniform_(0.05, 4, generator=random)
            if module.affine:
                nn.init.normal_(module.weight, 0, 2, generator=random)
                nn.init.normal_(module.bias, 0, 2, generator=random)
    return model


def assert_same_function(folded: nn.Module, model: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        expected, found = model.eval()(x), folded(x)
    tolerance = PRECISION[x.dtype]
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", PRECISION)
@given(
    axes=st.sampled_from([2, 3]),
    affine=st.booleans(),
    bias=st.booleans(),
    eps=st.sampled_from([1e-5, 1e-1]),
    seed=st.integers(0, 2**32),
)
@example(axes=3, affine=False, bias=False, eps=1e-5, seed=0)
@settings(deadline=None, max_examples=40)
def test_folding_keeps_the_function(dtype, axes, affine, bias, eps, seed):
    torch.manual_seed(seed)
    first = CONVOLUTIONS[axes](2, 3, 2, bias=bias)
    norm = NORMS[axes](3, eps=eps, affine=affine)
    second, norm2 = CONVOLUTIONS[axes](3, 4, 2, stride=2), NORMS[axes](4, affine=affine)
    model = nn.Sequential(first, norm, nn.ReLU(), second, norm2, nn.ReLU()).to(dtype)
    with_random_statistics(model, seed)
    folded = fold_batch_norm(model)
    kinds = (first, nn.Identity(), nn.ReLU(), second, nn.Identity(), nn.ReLU())
    assert [type(m) for m in folded] == [type(m) for m in kinds]
    assert_same_function(folded, model, torch.randn(3, 2, *[6] * axes, dtype=dtype))


@pytest.mark.parametrize("name", ["cnn3d", "cnn32h", "cnn1x1", "cnn1x1h"])
@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("training", [True, False])
def test_folding_a_network_leaves_the_network_itself(name, dtype, training):
    torch.manual_seed(0)
    model = build_model(ModelConfig(name=name), 30, 4, batch_norm=True).to(dtype)
    with_random_statistics(model, 0).train(training)
    before, names = copy.deepcopy(model.state_dict()), [key for key, _ in model.named_children()]
    folded = fold_batch_norm(model)
    assert not folded.training
    assert model.training is training
    assert [key for key, _ in model.named_children()] == names
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    plain = build_model(ModelConfig(name=name), 30, 4)
    assert [*folded.state_dict()] == [*plain.state_dict()]
    assert_same_function(folded, model, torch.randn(5, 1, 30, 5, 5, dtype=dtype))


def test_a_folded_network_shares_no_weight_with_its_source():
    model = build_model(ModelConfig(window=3), 20, 3, batch_norm=True)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        for parameter in fold_batch_norm(model).parameters():
            parameter.fill_(7)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_folding_a_network_without_batch_norm_copies_it():
    model = build_model(ModelConfig(window=3), 20, 3)
    folded = fold_batch_norm(model)
    assert folded is not model
    for key, value in folded.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key


@given(bias=st.booleans(), affine=st.booleans(), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_folding_into_dense_layers_and_spectra(bias, affine, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv1d(2, 3, 3, bias=bias),
        nn.BatchNorm1d(3, affine=affine),
        nn.Flatten(),
        nn.Linear(12, 5, bias=bias),
        nn.BatchNorm1d(5, affine=affine),
    ).double()
    for module in model:
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 2)
    folded = fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm1d) for module in folded.modules())
    assert_same_function(folded, model, torch.randn(4, 2, 6, dtype=torch.float64))


class Branching(nn.Module):
    """Batch norms that must not be folded: the convolution's output is needed as it is."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        self.norm = nn.BatchNorm2d(2, track_running_stats=kind != "no statistics")
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        if self.kind == "output needed":
            return self.norm(y) + y
        if self.kind == "convolution twice":
            return self.norm(self.conv(y))
        if self.kind == "norm twice":
            return self.norm(self.other(self.norm(y)))
        if self.kind == "rectified between":
            return self.norm(y.relu())
        return self.norm(y)


@pytest.mark.parametrize(
    "kind",
    ["output needed", "convolution twice", "norm twice", "rectified between", "no statistics"],
)
def test_a_norm_stays_where_the_convolutions_output_goes_elsewhere_too(kind):
    torch.manual_seed(0)
    model = Branching(kind)
    if model.norm.running_mean is not None:
        model.norm.running_mean.normal_()
    folded = fold_batch_norm(model)
    assert isinstance(folded.norm, nn.BatchNorm2d)
    assert_same_function(folded, model, torch.randn(3, 2, 4, 4))
