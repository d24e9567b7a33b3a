"""Batch norms that an SNN trains with: put in without a change, taken out without a change."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import insert_batch_norm, remove_batch_norm
from snnquant.models import build_model, to_spiking
from snnquant.spiking import LIF, SpikingNetwork

NAMES = ["cnn3d", "cnn32h"]
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


@pytest.fixture(autouse=True, scope="module")
def double_precision() -> Iterator[None]:
    """A current that rounds to the other side of a threshold would move whole spikes."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def network(name: str, seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    cnn = build_model(ModelConfig(name=name, widths=(4, 4, 6, 6)), 40, 5)
    snn = to_spiking(cnn, NeuronConfig(time_steps=3)).eval()
    for module in snn.layers:
        if isinstance(module, LIF):
            nn.init.uniform_(module.threshold, 0.05, 0.3)
            nn.init.uniform_(module.leak, 0.5, 1)
    return snn


def patches(count: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 40, 5, 5, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def forward(snn: SpikingNetwork, x: Tensor) -> Tensor:
    return snn.eval()(x)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 8))
@settings(deadline=None, max_examples=15)
def test_norms_go_in_and_out_without_changing_what_the_network_does(name, seed, count):
    snn, x = network(name, seed), patches(8, seed + 1)
    before = copy.deepcopy(snn.state_dict())
    normed = insert_batch_norm(snn, patches(count, seed))
    assert not normed.training
    torch.testing.assert_close(forward(normed, x), forward(snn, x), rtol=1e-9, atol=1e-9)
    back = remove_batch_norm(normed)
    assert not back.training
    assert back.time_steps == normed.time_steps == snn.time_steps
    assert list(back.state_dict()) == list(before)
    for key, tensor in back.state_dict().items():
        torch.testing.assert_close(tensor, before[key], rtol=1e-9, atol=1e-9)
    for key, tensor in snn.state_dict().items():
        assert torch.equal(tensor, before[key])
    assert not any(module._forward_hooks for module in normed.modules())


@pytest.mark.parametrize("name", NAMES)
def test_a_norm_stands_between_each_convolution_and_its_neurons(name):
    normed = insert_batch_norm(network(name), patches())
    names = [key for key, module in normed.layers.named_children() if isinstance(module, NORMS)]
    assert names == [f"conv{i}_norm" for i in range(1, 5)]
    children = list(normed.layers)
    for module, norm, after in zip(children, children[1:], children[2:], strict=False):
        if isinstance(norm, NORMS):
            assert norm.num_features == module.out_channels
            assert isinstance(after, LIF)


@pytest.mark.parametrize("name", NAMES)
def test_the_statistics_are_those_of_the_currents_over_all_steps(name):
    snn, x = network(name), patches()
    normed = insert_batch_norm(snn, x)
    currents: dict[str, Tensor] = {}
    for key, module in snn.layers.named_children():
        if key.startswith("conv"):
            module.register_forward_hook(
                lambda module, inputs, output, key=key: currents.update({key: output})
            )
    forward(snn, x)
    assert len(currents) == 4
    for key, current in currents.items():
        norm = normed.layers.get_submodule(f"{key}_norm")
        channels = current.transpose(0, 1).flatten(1)
        torch.testing.assert_close(norm.running_mean, channels.mean(1))
        torch.testing.assert_close(norm.running_var, channels.var(1, correction=0))


@pytest.mark.parametrize("name", NAMES)
def test_norms_that_training_has_moved_are_folded_exactly(name):
    normed, x = insert_batch_norm(network(name), patches()), patches(8, 1)
    for module in normed.layers:
        if isinstance(module, NORMS):
            nn.init.normal_(module.weight, 1, 0.5)
            nn.init.normal_(module.bias, 0, 0.5)
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.2, 2)
    before = copy.deepcopy(normed.state_dict())
    folded = remove_batch_norm(normed)
    assert not any(isinstance(module, NORMS) for module in folded.modules())
    torch.testing.assert_close(forward(folded, x), forward(normed, x), rtol=1e-9, atol=1e-9)
    for key, tensor in normed.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_a_channel_that_never_changes_survives():
    snn, x = network("cnn32h"), patches()
    with torch.no_grad():
        snn.layers.get_submodule("conv2").weight[0] = 0
    normed = insert_batch_norm(snn, x)
    torch.testing.assert_close(forward(normed, x), forward(snn, x), rtol=1e-9, atol=1e-9)
    folded = remove_batch_norm(normed)
    torch.testing.assert_close(forward(folded, x), forward(snn, x), rtol=1e-9, atol=1e-9)
