"""Binary weights and the rule that gives significant layers more bits."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization import (
    freeze,
    install,
    integer_weights,
    layer_bits,
    quantize,
    scale_channels,
)
from snnquant.quantization.binary import AllocatedWeight
from snnquant.quantization.bit_allocation import BitAllocation
from snnquant.quantization.methods.hybrid_net import HybridNet
from snnquant.spiking import LIF, SpikingNetwork

CONFIG = HybridNet(bits=3, binary_epochs=2, rows_per_channel=5)


def run_epoch(network: nn.Module, rule: BitAllocation, x: Tensor) -> None:
    network.train()
    for batch in x.split(32):
        network(batch)
    rule.after_epoch(1.0)


@given(st.integers(0, 2**16), st.sampled_from([(3, 4), (2, 3, 3), (4, 2, 2, 2), (2, 1, 3, 2, 2)]))
def test_one_bit_is_the_closest_scale_of_the_signs(seed: int, shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    quantizer = AllocatedWeight(bits=1)
    quantized = quantizer(weight)
    assert torch.equal(quantized.sign(), weight.sign())
    error = (quantized - weight).square().flatten(1).sum(1)
    for factor in (0.99, 1.01):
        assert ((factor * quantized - weight).square().flatten(1).sum(1) >= error - 1e-6).all()
    codes = quantizer.encode(weight)
    assert set(codes.codes.unique().tolist()) <= {-1, 1}
    assert codes.codes.dtype == torch.int8
    assert torch.equal(codes.decode(), quantized)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_codes_are_the_weights_at_every_width(bits: int) -> None:
    layer = quantize(nn.Sequential(*[nn.Linear(6, 6) for _ in range(3)]), CONFIG)
    quantizer: Any = layer[1].parametrizations.weight[0]
    quantizer.bits = bits
    codes, scale, zero_point = integer_weights(layer[1])
    assert torch.equal((codes - zero_point) * scale, layer[1].weight)
    assert int(codes.abs().max()) == max(1, 2 ** (bits - 1) - 1)
    assert layer_bits(layer) == {"0": 8, "1": bits, "2": 8}


@pytest.mark.parametrize("bits", [1, 4])
def test_gradients_reach_weights_and_factors_of_channels_are_followed(bits: int) -> None:
    layer = quantize(nn.Sequential(*[nn.Linear(6, 6) for _ in range(3)]), CONFIG)[1]
    quantizer: Any = layer.parametrizations.weight[0]
    quantizer.bits = bits
    layer.parametrizations.weight.original.data[0, 0] = 0.0
    layer(torch.ones(1, 6)).sum().backward()
    assert layer.parametrizations.weight.original.grad.all()
    before = layer.weight.detach()
    factors = torch.tensor([-2.0, 0.5, 1.0, -1.0, 3.0, -0.1])
    scale_channels(layer, factors)
    torch.testing.assert_close(layer.weight, before * factors[:, None])


def test_a_layer_that_adds_dimensions_gets_the_bits() -> None:
    """Add dimensions by a bend: linear layers pass the three of the inputs on."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(16, 16), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 3)
    )
    x = torch.randn(400, 3) @ torch.randn(3, 16)
    quantize(network, CONFIG)
    rule = BitAllocation(network, CONFIG)
    assert not rule.allows()
    run_epoch(network, rule, x)
    assert layer_bits(network) == {"0": 8, "1": 1, "3": 1, "4": 8}
    run_epoch(network, rule, x)
    assert layer_bits(network) == {"0": 8, "1": 1, "3": 3, "4": 8}
    assert not rule.allows()
    run_epoch(network, rule, x)
    assert rule.allows()
    assert not network[0]._forward_hooks
    assert layer_bits(network)["3"] == 3


def test_bits_that_were_found_come_back_from_the_state() -> None:
    layers = [nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2)]
    network = quantize(nn.Sequential(*copy.deepcopy(layers)), CONFIG)
    network[3].parametrizations.weight[0].bits = 5  # type: ignore[index,union-attr]
    other = install(nn.Sequential(*layers), CONFIG)
    other.load_state_dict(network.state_dict())
    assert layer_bits(other) == layer_bits(network) == {"0": 8, "1": 1, "3": 5, "4": 8}
    x = torch.randn(3, 4)
    assert torch.equal(other(x), network(x))
    assert torch.equal(freeze(copy.deepcopy(network))(x), network(x))
    assert "bits=5" in str(copy.deepcopy(network))


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
def test_a_rule_that_was_stopped_resumes_with_the_same_bits(stop: int, tmp_path: Path) -> None:
    x = torch.randn(200, 3) @ torch.randn(3, 8)
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Linear(8, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 2)
    )
    whole, stopped = (quantize(copy.deepcopy(made), CONFIG) for _ in range(2))
    rule = BitAllocation(whole, CONFIG)
    for _ in range(4):
        run_epoch(whole, rule, x)
    first = BitAllocation(stopped, CONFIG)
    for _ in range(stop):
        run_epoch(stopped, first, x)
    resumed = install(copy.deepcopy(made), CONFIG)
    resumed.load_state_dict(stopped.state_dict())
    second = BitAllocation(resumed, CONFIG)
    second.load_state_dict(first.state_dict())
    assert second.allows() == first.allows()
    for _ in range(4 - stop):
        run_epoch(resumed, second, x)
    assert layer_bits(resumed) == layer_bits(whole)
    assert 3 in layer_bits(whole).values()
    for name, tensor in resumed.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name])


def test_currents_of_an_snn_are_the_rows() -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(
        {
            "conv1": nn.Conv3d(1, 4, 3),
            "lif1": LIF(0.9, 0.3),
            "conv2": nn.Conv3d(4, 4, (3, 1, 1)),
            "lif2": LIF(0.9, 0.3),
            "conv3": nn.Conv3d(4, 4, (2, 1, 1)),
            "lif3": LIF(0.9, 0.3),
            "flatten": nn.Flatten(),
            "linear": nn.Linear(4 * 3 * 9, 3),
        },
        time_steps=3,
    )
    quantize(network, CONFIG)
    rule = BitAllocation(network, HybridNet(binary_epochs=1, rows_per_channel=5))
    network.train()
    network(torch.rand(6, 1, 8, 5, 5))
    assert int(rule.moments["layers.conv1"].count) == 6 * 6 * 9
    assert int(rule.moments["layers.conv2"].count) == 3 * 6 * 4 * 9
    network.eval()
    network(torch.rand(6, 1, 8, 5, 5))
    assert int(rule.moments["layers.conv1"].count) == 6 * 6 * 9
    rule.after_epoch(0.0)
    assert set(layer_bits(network).values()) <= {1, 4, 8}


def test_too_few_outputs_are_refused() -> None:
    network = quantize(nn.Sequential(*[nn.Linear(8, 8) for _ in range(3)]), HybridNet())
    rule = BitAllocation(network, HybridNet(binary_epochs=1))
    with pytest.raises(InputError, match=r"^layer 0: found 79 outputs .* at least 80"):
        run_epoch(network, rule, torch.rand(79, 8))
