"""The written module against the network, on the same patches."""

from __future__ import annotations

import ast
import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

pytest.importorskip("snntorch", reason="the module is one of snnTorch")

from snnquant.errors import InputError
from snnquant.exporters import ExportRequest, export
from snnquant.exporters.snntorch_module import write_snntorch
from snnquant.nn.wiring import WeightedSum
from snnquant.scenes import load_scene
from snnquant.spiking import LIF, SpikingNetwork


def imported(path: Path) -> Any:
    specification = importlib.util.spec_from_file_location("written", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(network: nn.Module, x: Tensor, neurons: type) -> tuple[Tensor, list[Tensor]]:
    """Return logits, and the spikes [T, N, ...] of every layer of neurons in order."""
    spikes: dict[nn.Module, list[Tensor]] = {}
    handles = [
        layer.register_forward_hook(lambda layer, _, o: spikes.setdefault(layer, []).append(o))
        for layer in network.modules()
        if isinstance(layer, neurons)
    ]
    with torch.no_grad():
        logits = network(x)
    for handle in handles:
        handle.remove()
    return logits, [
        layer[0] if torch.is_tensor(layer[0]) else torch.stack([spike for spike, _ in layer])
        for layer in spikes.values()
    ]


def assert_alike(network: SpikingNetwork, x: Tensor, path: Path) -> list[Tensor]:
    import snntorch

    write_snntorch(ExportRequest(network, x), path)
    found, found_spikes = run(imported(path).load(), x, snntorch.Leaky)
    expected, expected_spikes = run(copy.deepcopy(network), x, LIF)
    assert len(found_spikes) == len(expected_spikes) > 0
    for ours, theirs in zip(expected_spikes, found_spikes, strict=True):
        assert torch.equal(ours, theirs)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    return expected_spikes


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_spikes_and_logits_are_those_of_the_network(wired_network, tmp_path_factory, seed):
    network, x = wired_network(seed, ["delayed", "zero"], max_pool=True)
    assert_alike(network, x, tmp_path_factory.mktemp("snntorch") / "written.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        *[("cnn32h", None, 6), ("cnn3d", None, 6, 0.9), ("cnn1x1", None, 6), ("cnn1x1h",)],
        *[("hamida",), ("makantasis",), ("hu_relu",)],
    ],
)
def test_real_pixels_give_the_same_spikes(on_indian_pines, model, tmp_path):
    network, x, _ = on_indian_pines(*model)
    spikes = assert_alike(network, x, tmp_path / "written.py")
    assert min(layer.mean() for layer in spikes) > 0.01


@pytest.mark.parametrize("model", ["cnn32h", "makantasis"])
def test_statistics_of_the_scene_are_in_the_module(on_indian_pines, model, tmp_path):
    network, x, normalisation = on_indian_pines(model)
    write_snntorch(ExportRequest(network, x, normalisation), tmp_path / "written.py")
    window = x.shape[-1]
    raw = torch.from_numpy(load_scene("indian_pines").cube[:window, :window].copy())
    standardised = torch.from_numpy(normalisation.apply(raw.numpy()))
    patches = [values.permute(2, 0, 1)[None, None] for values in (raw, standardised)]
    with torch.no_grad():
        found, expected = imported(tmp_path / "written.py").load()(patches[0]), network(patches[1])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_module_learns_without_this_package(on_indian_pines, tmp_path):
    network, x, _ = on_indian_pines("cnn32h")
    path = tmp_path / "written.py"
    metadata = {"scene": 'Indian "Pines"\n'}
    write_snntorch(ExportRequest(network, x, metadata=metadata), path)
    module = imported(path)
    assert metadata == module.METADATA
    tree = ast.walk(ast.parse(path.read_text()))
    names = [n.names[0].name for n in tree if isinstance(n, (ast.Import, ast.ImportFrom))]
    assert set(names) == {"Path", "snntorch", "torch", "nn"}
    learner = module.load()
    learner(x).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.parameters())
    assert (learner(x, time_steps=1) != learner(x)).any()


def test_names_of_a_hostile_file_stay_names(tmp_path):
    layers = {
        "self": nn.Flatten(),
        "load state_dict": nn.Linear(3, 4),
        "import os": LIF(1.0, 0.1),
        'x"]; raise SystemExit #': nn.Linear(4, 4),
        "class": LIF(1.0, 0.1),
        "mem": WeightedSum([2.0]),
        "total": nn.Linear(4, 2),
    }
    assert_alike(SpikingNetwork(layers, 3).eval(), torch.randn(2, 1, 3), tmp_path / "written.py")


@pytest.mark.parametrize(
    ("name", "network", "line"),
    [
        ("x.txt", SpikingNetwork({"lif": LIF()}, 1), r"--output: found .*x.txt, expected .* \.py"),
        ("torch.py", SpikingNetwork({"lif": LIF()}, 1), "other than snntorch.py or torch.py"),
        ("x.py", nn.Sequential(nn.ReLU()), "--format snntorch: found a CNN"),
        (
            "x.py",
            SpikingNetwork({"lif": LIF(reset="same_step")}, 1),
            "reset: found 'same_step'",
        ),
        ("x.py", SpikingNetwork({"lif": LIF(), "odd": nn.Tanh()}, 1), "layer odd: found Tanh"),
    ],
)
def test_unwritable_networks_are_refused_in_one_line(name, network, line, tmp_path):
    with pytest.raises(InputError, match=line) as refusal:
        write_snntorch(ExportRequest(network, torch.zeros(1, 3)), tmp_path / name)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "suffix"), [("snntorch", "py"), ("brian2", "py"), ("nir", "nir")])
def test_narrow_potentials_are_refused_by_layer(name: str, suffix: str, tmp_path: Path) -> None:
    layers = {"fc": nn.Linear(6, 4), "lif": LIF(potential_bits=12), "out": nn.Linear(4, 2)}
    request = ExportRequest(SpikingNetwork(layers, 2).eval(), torch.zeros(1, 6))
    expected = f"--format {name}: layer lif: found potentials of 12 bits, expected"
    with pytest.raises(InputError, match=expected):
        export(request, tmp_path / f"network.{suffix}", name)
