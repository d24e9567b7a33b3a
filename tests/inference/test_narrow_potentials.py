"""The integer engine and the network in floating point, which spike alike to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")

from snnquant.config import QuantizationConfig
from snnquant.errors import InputError
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.nn.hooks import recording
from snnquant.quantization import quantize
from snnquant.sampling import PixelGrid
from snnquant.spiking import LIF, SpikingNetwork, shifts
from snnquant.training import PotentialGrids, SynapseNorms

BANDS, CLASSES = 12, 4


def network_of(seed: int, bits: int, leaks: str, reset: str, *, steps: int = 4) -> SpikingNetwork:
    """Build a quantized network of 3-D and 2-D convolutions with narrow potentials."""
    torch.manual_seed(seed)

    def lif() -> LIF:
        leak, threshold = torch.rand(2).tolist()
        options = {"reset": reset, "initial": 0.5, "leaks": leaks, "potential_bits": bits}
        return LIF(0.4 + 0.6 * leak, 0.1 + threshold / 3, **options)

    layers = {
        "conv1": nn.Conv3d(1, 6, (5, 1, 1), (2, 1, 1)),
        "lif1": lif(),
        "fold": nn.Flatten(1, 2),
        "conv2": nn.Conv2d(24, 20, 3),
        "lif2": lif(),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(20, CLASSES),
    }
    return quantize(SpikingNetwork(layers, steps).eval(), QuantizationConfig(bits=6))


def spikes_in_floats(network: SpikingNetwork, x: torch.Tensor) -> list[np.ndarray]:
    """Return the spikes [T, N, h, w, depth, K] of both layers of neurons."""
    found = []

    def keep(name: str, module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        spikes = output if output.ndim == 6 else output.unsqueeze(3)
        found.append(spikes.permute(0, 1, 4, 5, 3, 2).numpy())

    named = {name: network.layers.get_submodule(name) for name in ("lif1", "lif2")}
    with torch.no_grad(), recording(named, keep):
        network(x)
    return found


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 9999),
    st.sampled_from([8, 9, 12, 16]),
    st.sampled_from(["free", "power-of-two", "two-powers"]),
    st.sampled_from(["delayed", "same_step", "zero"]),
    st.integers(4, 12),
    st.integers(1, 6),
)
def test_engine_and_network_spike_alike(seed, bits, leaks, reset, pixel_bits, steps):
    network = network_of(seed, bits, leaks, reset, steps=steps)
    grid = PixelGrid(pixel_bits, float(np.float32(3 / 2**pixel_bits)), signed=True)
    PotentialGrids(network, grid.step).finish()
    engine = IntegerNetwork(network, BANDS, 3, grid=grid)
    x = torch.from_numpy(grid.apply(torch.randn(30, 1, BANDS, 3, 3).numpy()))
    expected = spikes_in_floats(network, x)
    assert 0.01 < expected[1].mean() < 0.99
    for layer, spikes in enumerate(expected):
        np.testing.assert_array_equal(engine.spikes(x, layer), spikes)
    found = torch.from_numpy(engine.logits(x)[:, 0, 0] * engine.fixed_point.unit)
    with torch.no_grad():
        torch.testing.assert_close(found.float(), network(x), atol=1e-3, rtol=1e-3)


def test_grids_follow_the_weights_in_training_and_are_those_of_the_folded_network():
    network = network_of(3, 8, "power-of-two", "delayed", steps=3)
    grid = PixelGrid(8, float(np.float32(0.03)), signed=True)
    x = torch.from_numpy(grid.apply(torch.randn(64, 1, BANDS, 3, 3).numpy()))
    norms = SynapseNorms(network, x)
    potentials = PotentialGrids(network, grid.step)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    laid = []
    for _ in range(5):
        network.train()
        loss = functional.cross_entropy(network(x), torch.arange(64) % CLASSES)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        network.clamp_()
        laid.append(network.layers.lif2.units)
    assert not torch.equal(laid[0], laid[-1])
    assert all((a != b).any() for a, b in zip(before, network.parameters(), strict=False))
    network.eval()
    trained = spikes_in_floats(network, x)
    grids = [lif.grid() for lif in (network.layers.lif1, network.layers.lif2)]
    norms.fold()
    potentials.finish()
    for lif, before in zip((network.layers.lif1, network.layers.lif2), grids, strict=True):
        torch.testing.assert_close(lif.grid().step, before.step)
        torch.testing.assert_close(lif.grid().threshold, before.threshold, rtol=0, atol=1)
    folded = spikes_in_floats(network, x)
    # Biases move by up to half a step.
    assert all((a != b).mean() < 0.03 for a, b in zip(trained, folded, strict=True))
    engine = IntegerNetwork(network, BANDS, 3, grid=grid)
    for layer, spikes in enumerate(folded):
        np.testing.assert_array_equal(engine.spikes(x, layer), spikes)


def test_pixels_that_stop_early_take_their_potentials_along():
    network = network_of(5, 8, "two-powers", "delayed", steps=5)
    grid = PixelGrid(6, 0.0625, signed=True)
    PotentialGrids(network, grid.step).finish()
    x = torch.from_numpy(grid.apply(torch.randn(200, 1, BANDS, 3, 3).numpy()))
    margins = [np.inf] * 5
    plain = IntegerNetwork(network, BANDS, 3, grid=grid)
    stepped = IntegerNetwork(network, BANDS, 3, margins, grid=grid)
    classes, steps = stepped.classes_and_steps(x)
    assert steps.unique().tolist() == [5]
    np.testing.assert_array_equal(classes.numpy(), plain.logits(x).argmax(-1))


def test_a_leak_of_powers_of_two_beside_potentials_of_32_bits():
    network = network_of(2, 32, "power-of-two", "delayed")
    fixed = IntegerNetwork(network, BANDS, 3).fixed_point
    leaks = [neurons.leak / 2**15 for neurons in fixed.neurons]
    assert leaks == [layer.constants().leak for layer in network.layers if isinstance(layer, LIF)]
    assert all(shifts(leak) <= 1 for leak in leaks)
    assert {neurons.potential_bits for neurons in fixed.neurons} == {32}


def test_potentials_on_another_grid_than_the_weights_are_refused():
    network = network_of(1, 12, "free", "delayed")
    PotentialGrids(network, 0.03).finish()
    network.layers.lif2.units *= 1.3
    with pytest.raises(InputError, match="layer conv2: found potentials on another grid"):
        IntegerNetwork(network, BANDS, 3, grid=PixelGrid(8, float(np.float32(0.03)), True))


def test_a_network_that_no_training_has_aligned_runs_too():
    network = network_of(4, 16, "free", "delayed")
    grid = PixelGrid(8, float(np.float32(0.03)), signed=True)
    x = torch.from_numpy(grid.apply(torch.randn(64, 1, BANDS, 3, 3).numpy()))
    expected = spikes_in_floats(network, x)
    engine = IntegerNetwork(network, BANDS, 3, grid=grid)
    found = [engine.spikes(x, layer) for layer in range(2)]
    assert all((a != b).mean() < 0.01 for a, b in zip(found, expected, strict=True))
