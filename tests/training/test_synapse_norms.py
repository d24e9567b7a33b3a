from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.models.own import OWN_TABLES
from snnquant.quantization import integer_weights, quantize
from snnquant.spiking import LIF, SpikingNetwork
from snnquant.training import SynapseNorms

BANDS, CLASSES = 12, 3


def spiking(seed: int, model: str = "cnn32h") -> tuple[SpikingNetwork, torch.Tensor]:
    torch.manual_seed(seed)
    config = ModelConfig(name=model, widths=(3, 4, 5, 6)[: len(OWN_TABLES[model])])
    patches = torch.randn(9, 1, BANDS, 5, 5)
    snn = to_spiking(build_model(config, BANDS, CLASSES), patches[:1], NeuronConfig())
    return snn.double(), patches.double()


def currents(network: SpikingNetwork, patches: torch.Tensor) -> list[torch.Tensor]:
    """Record the input of every LIF layer."""
    seen: list[torch.Tensor] = []
    neurons = [layer for layer in network.layers if isinstance(layer, LIF)]
    handles = [n.register_forward_pre_hook(lambda m, x: seen.append(x[0])) for n in neurons]
    with torch.no_grad():
        network.eval()(patches)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("model", ["cnn32h", "cnn3d", "cnn1x1", "cnn1x1h"])
@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=10)
def test_norms_begin_as_the_identity(model, seed):
    snn, patches = spiking(seed, model)
    before = currents(snn, patches)
    SynapseNorms(snn, patches)
    for found, expected in zip(currents(snn, patches), before, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("clip", ["max", "mse"])
@pytest.mark.parametrize("bits", [3, 6, 32])
def test_folded_network_computes_what_it_trained_as_on_the_same_grid(scheme, clip, bits):
    snn, patches = spiking(1)
    names = list(snn.state_dict())
    config = QuantizationConfig(bits=bits, scheme=scheme, clip=clip)
    if bits < 32:
        quantize(snn, config)
        names = list(snn.state_dict())
    norms = SynapseNorms(snn, patches)
    assert len(norms.norms) == 4
    for synapse, norm in norms.norms.items():
        del synapse
        nn.init.normal_(norm.weight)  # some negative
        nn.init.normal_(norm.bias)
    snn.train()(patches)
    trained = currents(snn, patches)
    norms.fold()
    for found, expected in zip(currents(snn, patches), trained, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert list(snn.state_dict()) == names
    if bits < 32:
        for synapse in norms.norms:
            codes, scale, zero = integer_weights(synapse)
            torch.testing.assert_close((codes - zero) * scale, synapse.weight.detach())


def test_training_moves_statistics_and_scales_that_folding_keeps():
    snn, patches = spiking(2)
    plain = copy.deepcopy(snn)
    norms = SynapseNorms(snn, patches)
    optimizer = torch.optim.SGD(snn.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        snn.train()(patches).square().sum().backward()
        optimizer.step()
    with torch.no_grad():
        trained = snn.eval()(patches)
        norms.fold()
        torch.testing.assert_close(snn(patches), trained, rtol=1e-6, atol=1e-9)
        assert not torch.allclose(plain.eval()(patches), trained)


def test_the_readout_and_synapses_without_bias_get_none():
    layers = {
        "first": nn.Conv1d(1, 2, 3, bias=False),
        "lif1": LIF(),
        "second": nn.Conv1d(2, 3, 3),
        "lif2": LIF(),
        "flatten": nn.Flatten(),
        "readout": nn.Linear(12, 2),
    }
    snn = SpikingNetwork(layers, 4)
    norms = SynapseNorms(snn, torch.randn(5, 1, 8))
    assert list(norms.norms) == [layers["second"]]


def test_one_scale_per_tensor_cannot_be_folded_into():
    snn, patches = spiking(3)
    quantize(snn, QuantizationConfig(granularity="tensor"))
    norms = SynapseNorms(snn, patches)
    with pytest.raises(InputError, match="granularity"):
        norms.fold()
