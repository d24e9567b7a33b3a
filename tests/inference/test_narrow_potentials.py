"""The integer engine and the network in floating point, which spike alike to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")

from snnquant.config import QuantizationConfig
from snnquant.errors import InputError
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.nn.hooks import recording
from snnquant.quantization import quantize
from snnquant.sampling import PixelGrid
from snnquant.spiking import LIF, SpikingNetwork
from snnquant.training import PotentialGrids

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
