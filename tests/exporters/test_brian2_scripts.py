"""Brian2 as an oracle: it simulates the written network and spikes as the network does."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

pytest.importorskip("brian2", reason="Brian2 runs the script")

from snnquant.errors import InputError
from snnquant.exporters import ExportRequest
from snnquant.exporters.brian2.connectivity import OUTPUT, constant_currents, synapses
from snnquant.exporters.brian2.script import to_brian2, write_brian2
from snnquant.exporters.preparation import sample_shapes
from snnquant.quantization import freeze
from snnquant.spiking import LIF, Reset, SpikingNetwork

RESETS = tuple(Reset)
# Brian2 2.9 calls pyparsing by its old names.
QUIET_BRIAN2 = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def in_double(network: SpikingNetwork, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return spikes [T, N, ...] of every LIF layer, and logits, in float64."""
    double = freeze(copy.deepcopy(network)).double()
    spikes: dict[str, Tensor] = {}
    for name, layer in double.layers.named_children():
        if isinstance(layer, LIF):
            layer.register_forward_hook(lambda _, __, o, name=name: spikes.update({name: o}))
    with torch.no_grad():
        return spikes, double(x.double())


def assert_alike(found: dict[str, np.ndarray], network: SpikingNetwork, x: Tensor) -> None:
    expected, logits = in_double(network, x)
    assert found.keys() == {"logits", *(f"spikes_{name}" for name in expected)}
    for name, spikes in expected.items():
        by_pixel = spikes.flatten(2).transpose(0, 1)
        assert by_pixel.any()
        np.testing.assert_array_equal(found[f"spikes_{name}"], by_pixel.numpy().astype(bool))
    np.testing.assert_allclose(found["logits"], logits.numpy(), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_synapses_carry_what_the_layers_between_do(wired_network, seed):
    """Apply the lists, without Brian2, to arbitrary spikes and compare with the layers."""
    network, x = wired_network(seed, RESETS, max_pool=False)
    network, x = network.double(), x[:2].double()
    between = synapses(network, sample_shapes(network, x))
    currents = constant_currents(network, x)
    spikes: dict[str, Tensor] = {}
    received: dict[str, Tensor] = {}
    for name, layer in network.layers.named_children():
        if isinstance(layer, LIF):

            def replace(_, args, output, name=name):
                received[name] = args[0].flatten(2)
                spikes[name] = torch.bernoulli(torch.full_like(output, 0.3))
                return spikes[name]

            layer.register_forward_hook(replace)
    with torch.no_grad():
        received[OUTPUT] = network(x)
    for target, current in received.items():
        total = torch.zeros_like(current) + currents[target]
        for (source, end), matrix in between.items():
            if end == target:
                brought = torch.from_numpy(spikes[source].flatten(2).numpy() @ matrix.T.toarray())
                total += brought.mean(0) if target == OUTPUT else brought
        torch.testing.assert_close(total, current)


@QUIET_BRIAN2
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6))
def test_branching_networks_spike_alike(wired_network, seed):
    from snnquant.exporters.brian2.simulation import simulate

    network, x = wired_network(seed, RESETS, max_pool=False)
    found = simulate(to_brian2(ExportRequest(network, x)))
    expected, _ = in_double(network, x)
    for name, spikes in expected.items():
        by_pixel = spikes.flatten(2).transpose(0, 1).numpy().astype(bool)
        np.testing.assert_array_equal(found[f"spikes_{name}"], by_pixel)


@QUIET_BRIAN2
@pytest.mark.parametrize(
    "model", [("cnn3d", None, 6, 0.9), ("cnn1x1", None, 6), ("cnn1x1h",), ("makantasis",)]
)
def test_real_pixels_give_the_same_spikes(on_indian_pines, model):
    from snnquant.exporters.brian2.simulation import simulate

    network, x, _ = on_indian_pines(*model)
    assert_alike(simulate(to_brian2(ExportRequest(network, x))), network, x)


@pytest.mark.slow
def test_the_script_stands_alone(on_indian_pines, tmp_path):
    network, x, _ = on_indian_pines("cnn32h", None, 6)
    script = tmp_path / "oracle.py"
    names = [f"class {k}" for k in range(16)]
    metadata = {"class_names": json.dumps(names)}
    write_brian2(ExportRequest(network, x[:3], metadata=metadata), script)
    source = script.read_text()
    assert "import snnquant" not in source
    assert "from snnquant" not in source
    run = subprocess.run(
        [sys.executable, "-P", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    with np.load(tmp_path / "oracle_spikes.npz") as found:
        assert_alike(dict(found), network, x[:3])
    with torch.no_grad():
        classes = network(x[:3]).argmax(1)
    for line, number in zip(run.stdout.splitlines(), classes, strict=True):
        assert f": class {number} (" in line


def refused(network: nn.Module, x: Tensor, path) -> str:
    with pytest.raises(InputError) as refusal:
        write_brian2(ExportRequest(network, x), path)
    assert not path.exists()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_what_cannot_be_written_is_refused_in_one_line(tmp_path):
    x = torch.zeros(1, 1, 9)
    pooled = SpikingNetwork({"lif": LIF(), "pool": nn.MaxPool1d(2)}, 1)
    assert "layer pool is MaxPool1d(" in refused(pooled, x, tmp_path / "x.py")
    assert "found a CNN" in refused(nn.ReLU(), x, tmp_path / "x.py")
    for name in ("x.npz", "brian2.py"):
        line = refused(pooled, x, tmp_path / name)
        assert "expected a name that ends in .py, other than brian2.py or numpy.py" in line
    large = SpikingNetwork({"lif": LIF(), "large": nn.Conv1d(8, 64, 9, padding=4)}, 1)
    line = refused(large, torch.zeros(1, 8, 4096), tmp_path / "x.py")
    assert "found 18,874,368 synapses up to layer large, expected at most 10,000,000" in line
