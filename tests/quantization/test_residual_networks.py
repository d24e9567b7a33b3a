"""Residual networks: Fixup's start, 8-bit training from it, and shortcuts of more bits."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn import GraphNetwork
from snnquant.nn.wiring import Sum
from snnquant.quantization import Calibration, install, layer_bits, quantize
from snnquant.quantization.backward import quantized_errors
from snnquant.quantization.methods.eoq import EOQ
from snnquant.quantization.methods.hybrid_net import HybridNet
from snnquant.quantization.passes.fixup import fixup

WIDTHS = (6, 8, 8, 10)
PATCH = (1, 40, 5, 5)


def residual() -> nn.Module:
    torch.manual_seed(0)
    return build_model(ModelConfig(name="resnet3d", widths=WIDTHS, dropout=0.0), PATCH[1], 4)


def outputs(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: found.update({name: o.detach()}))
    network(x)
    return found


def test_blocks_start_as_their_shortcuts_and_logits_at_zero() -> None:
    network = residual().eval()
    x = torch.randn(16, *PATCH)
    fixup(network, Calibration(x))
    found = outputs(network, x)
    assert torch.equal(found["layers.relu3"], found["layers.relu2"])
    assert torch.equal(found["layers.add4"], found["layers.shortcut4"])
    assert found["layers.relu4"].any()
    assert not found["layers.classifier"].any()


def test_first_layers_of_branches_shrink_with_the_number_of_branches() -> None:
    """Compare deviations in a chain of blocks with that of He: L^(-1/(2m - 2)), m = 3."""
    layers: dict[str, nn.Module] = {"start": nn.Linear(400, 400)}
    inputs: dict[str, list[str]] = {}
    before = "start"
    for i in range(8):
        branch = {f"{part}{i}": nn.Linear(400, 400) for part in "abc"}
        layers |= branch | {f"add{i}": Sum([1.0, 1.0])}
        inputs[f"add{i}"] = [f"c{i}", before]
        before = f"add{i}"
    network = GraphNetwork(layers | {"classifier": nn.Linear(400, 3)}, inputs)
    fixup(network, Calibration(torch.zeros(1, 400)), seed=3)
    he = (2 / 400) ** 0.5
    for name, layer in network.layers.named_children():
        if isinstance(layer, nn.Linear):
            factor = {"a": 8**-0.25, "b": 8**-0.25, "c": 0.0, "s": 1.0}.get(name[0], 1.0)
            wanted = 0.0 if name in ("classifier",) else factor * he
            assert layer.weight.std().item() == pytest.approx(wanted, rel=0.02)
    x = torch.randn(200, 400)
    last = outputs(network, x)
    assert torch.equal(last["layers.add7"], last["layers.start"])


def test_chains_are_refused_and_an_snn_keeps_its_weights() -> None:
    with pytest.raises(InputError, match="fixup: found Sequential without residual blocks"):
        fixup(nn.Sequential(nn.Linear(3, 3)), Calibration(torch.zeros(1, 3)))
    snn = to_spiking(residual().eval(), torch.zeros(1, *PATCH), NeuronConfig(time_steps=2))
    before = copy.deepcopy(snn.state_dict())
    fixup(snn, Calibration(torch.zeros(1, *PATCH)))
    assert all(torch.equal(value, before[name]) for name, value in snn.state_dict().items())


def test_eoq_trains_a_residual_network_from_fixup_in_8_bits() -> None:
    config = EOQ(start="fixup", learning_rate=0.03)
    network = residual()
    x, classes = torch.randn(64, *PATCH), torch.arange(64) % 4
    x += classes.view(-1, 1, 1, 1, 1)
    quantize(network, config, Calibration(x, classes))
    plan = config.plan()
    optimizer = plan.optimizer(network, config.learning_rate, 0.0)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        with quantized_errors(network, plan.error):
            loss = nn.functional.cross_entropy(network(x), classes)
            loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(torch.tensor(4.0).log().item(), rel=1e-4)
    assert min(losses[-5:]) < 0.5 * losses[0]
    branch = network.get_submodule("layers.conv3b")
    assert branch.weight.any()


def test_shortcuts_have_bits_of_their_own_on_cnn_and_snn() -> None:
    config = HybridNet(shortcut_bits=8)
    cnn = residual().eval()
    snn = to_spiking(copy.deepcopy(cnn), torch.zeros(1, *PATCH), NeuronConfig(time_steps=2))
    for network in (cnn, snn):
        found = layer_bits(install(network, config))
        bits = {name.rpartition(".")[2]: b for name, b in found.items()}
        assert {name for name, b in bits.items() if b == 8} == {"conv1", "shortcut4", "classifier"}
        assert {b for b in bits.values() if b != 8} == {1}
    assert layer_bits(install(residual(), HybridNet()))["layers.shortcut4"] == 1


def test_shortcuts_of_8_bits_stay_closer_to_floating_point() -> None:
    """Compare the second block's outputs, where the shortcut carries what the branch lacks."""
    x = torch.randn(32, *PATCH)
    errors = []
    for bits in (1, 8):
        network = residual().eval()
        wanted = outputs(network, x)["layers.add4"]
        install(network, HybridNet(shortcut_bits=bits))
        errors.append((outputs(network, x)["layers.add4"] - wanted).square().mean().item())
    assert errors[1] < errors[0]
