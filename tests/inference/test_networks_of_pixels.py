"""Networks whose first kernel spans all bands, in integers: every bit, from raw pixels too."""

from __future__ import annotations

import os
import pickle
import platform
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import nn

pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")

from snnquant.config import QuantizationConfig
from snnquant.errors import InputError
from snnquant.inference import Cube, classify_scene
from snnquant.inference.integer.encoding import Coder, encode_whole
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.quantization import quantize
from snnquant.sampling import Normalisation, PixelGrid
from snnquant.spiking import LIF, SpikingNetwork
from snnquant.spiking.backends import vector_types as vectors

CLASSES = 4
RESETS = st.sampled_from(["delayed", "same_step", "zero"])


def network_of(
    seed: int,
    bands: int,
    filters: int,
    hidden: int,
    sides: tuple[int, int],
    window: int,
    reset: str,
    bits: int,
    time_steps: int,
    layers_of_neurons: int = 2,
) -> SpikingNetwork:
    """Build layers of neurons, the first two kernels of which have `sides`, and a mean of the rest.

    A network of one layer has the first side only.
    """
    torch.manual_seed(seed)

    def lif() -> LIF:
        leak, threshold = torch.rand(2).tolist()
        return LIF(round(leak, 1), 0.1 + threshold / 4, reset=reset, initial=0.5)

    if layers_of_neurons == 1:
        sides, hidden = (sides[0], 1), filters
    rest = window - sum(sides) + 2
    layers = {
        "conv1": nn.Conv3d(1, filters, (bands, sides[0], sides[0])),
        "lif1": lif(),
        "fold": nn.Flatten(1, 2),
    }
    if layers_of_neurons > 1:
        layers |= {"conv2": nn.Conv2d(filters, hidden, sides[1]), "lif2": lif()}
    if layers_of_neurons > 2:
        layers |= {"conv3": nn.Conv2d(hidden, 20, 1), "lif3": lif()}
        hidden = 20
    layers |= {
        "mean": nn.AvgPool2d(rest),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(hidden, CLASSES),
    }
    network = SpikingNetwork(layers, time_steps).eval()
    quantize(network, QuantizationConfig(bits=bits))
    return network


networks = st.builds(
    network_of,
    seed=st.integers(0, 9999),
    bands=st.integers(1, 40),
    filters=st.sampled_from([3, 16, 64, 90]),
    hidden=st.sampled_from([5, 32, 130]),
    sides=st.sampled_from([(1, 1), (1, 1), (3, 1), (1, 3)]),
    window=st.sampled_from([3, 5]),
    reset=RESETS,
    bits=st.sampled_from([3, 6, 8]),
    time_steps=st.integers(1, 5),
    layers_of_neurons=st.integers(1, 3),
)


def window_of(network: SpikingNetwork) -> int:
    layers = network.layers
    second = layers.conv2.kernel_size[0] if "conv2" in dict(layers.named_children()) else 1
    return int(layers.conv1.kernel_size[1] + second + layers.mean.kernel_size - 2)


def engine_of(network: SpikingNetwork, grid: PixelGrid | None = None) -> IntegerNetwork:
    """Return the engine of a network, if its sums fit into 32 bits."""
    bands = network.layers.conv1.kernel_size[0]
    try:
        return IntegerNetwork(network, bands, window_of(network), grid=grid)
    except InputError:
        reject()


@settings(deadline=None, max_examples=40)
@given(
    networks, st.integers(1, 3), st.integers(0, 6), st.integers(0, 3), st.sampled_from([0, 4, 8])
)
def test_every_bit_is_that_of_the_same_numbers_in_float64(
    reference, network, samples, down, right, pixel_bits
):
    bands, window = network.layers.conv1.kernel_size[0], window_of(network)
    grid = PixelGrid(pixel_bits, 2.0**-5, True) if pixel_bits else None
    engine = engine_of(network, grid)
    x = torch.randn(samples, 1, bands, window + down, window + right)
    if grid is not None:  # first products of bytes
        x = (3 * x / grid.step).round().clamp(grid.low, grid.high) * grid.step
    expected_spikes, expected_logits = reference(engine.fixed_point, x)
    for layer, expected in enumerate(expected_spikes):
        np.testing.assert_array_equal(engine.spikes(x, layer), expected)
    np.testing.assert_array_equal(engine.logits(x), expected_logits)
    for forms in product([False, True], repeat=len(engine.can_multiply)):
        engine.dense = forms
        np.testing.assert_array_equal(engine.logits(x), expected_logits)
    classes = engine.classes(x[:1])
    np.testing.assert_array_equal(classes, expected_logits[0].argmax(-1))


def statistics_of(bands: int, grid: PixelGrid | None, rng: np.random.Generator) -> Normalisation:
    mean, std = rng.normal(2000, 500, bands), rng.uniform(0.5, 700, bands)
    return Normalisation(mean.astype(np.float32), std.astype(np.float32), grid=grid)


grids = st.one_of(
    st.none(),
    st.builds(
        PixelGrid,
        st.integers(2, 14),
        st.sampled_from([float(np.float32(s)) for s in (0.0371, 0.25, 1.1)]),
        st.booleans(),
    ),
)


@settings(deadline=None, max_examples=30)
@given(networks, grids, st.integers(0, 9999), st.booleans())
def test_raw_pixels_have_the_codes_of_normalised_ones(network, grid, seed, whole):
    rng = np.random.default_rng(seed)
    bands, window = network.layers.conv1.kernel_size[0], window_of(network)
    normalisation = statistics_of(bands, grid, rng)
    cube = rng.normal(2000, 900, (window + 6, window + 8, bands)).astype(np.float32)
    if whole:  # as a sensor counts, with many values halfway between two codes
        cube = np.round(cube)
        normalisation = Normalisation(
            np.round(normalisation.mean), normalisation.std // 8 + 1, grid=grid
        )
    engine = engine_of(network, grid)
    raw = engine.of_pixels(normalisation)
    assert raw is not None
    part = cube[1:-2, 3:-1]  # a view, as blocks of a cube are

    def tile(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).permute(2, 0, 1)[None, None]

    expected = engine.logits(tile(normalisation.apply(part)))
    np.testing.assert_array_equal(raw.logits(tile(part)), expected)
    np.testing.assert_array_equal(raw.classes(tile(part)), expected[0].argmax(-1))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 9999), grids, st.integers(1, 50))
def test_codes_of_raw_values_are_those_of_two_divisions_in_float32(seed, grid, bands):
    rng = np.random.default_rng(seed)
    normalisation = statistics_of(bands, grid, rng)
    step = np.float32(2.0**-11 if grid is None else grid.step)
    limit = 32639 if grid is None else max(-grid.low, grid.high)
    in_bytes = limit <= 128
    coder = Coder.of_values(normalisation, 1 / float(step), limit, in_bytes=in_bytes)
    assert coder is not None
    # Halves of codes, where a product and two divisions may round to different sides.
    halves = rng.integers(-600, 600, (1, 20, 30, bands)) / 2 * step
    values = (halves * normalisation.std + normalisation.mean).astype(np.float32)
    codes = np.zeros((600, -(-bands // 16) * 16), np.uint8 if in_bytes else np.int16)
    encode_whole(values, 0, 20, coder, codes)
    found = codes[:, :bands].astype(int).reshape(values.shape) - coder.zero
    scores = (values - normalisation.mean) / normalisation.std
    expected = np.rint(scores / step).clip(coder.low, coder.high)
    np.testing.assert_array_equal(found, expected)


def test_a_normalisation_that_mixes_bands_has_no_line_per_band():
    network = network_of(0, 6, 3, 5, (1, 1), 3, "delayed", 6, 2)
    engine = IntegerNetwork(network, 6, 3)
    ones = np.ones(6, np.float32)
    assert engine.of_pixels(Normalisation(ones, ones, np.eye(6, dtype=np.float32))) is None
    assert engine.of_pixels(Normalisation(ones, ones, spectra="snv")) is None


@pytest.mark.parametrize("margins", [None, [0.05, 0.0]])
def test_a_map_of_raw_pixels_is_that_of_normalised_ones(margins):
    rng = np.random.default_rng(1)
    network = network_of(3, 8, 16, 32, (1, 1), 5, "delayed", 6, 2)
    network.layers.classifier.bias.data.zero_()  # else one class has every pixel
    grid = PixelGrid(8, float(np.float32(0.04)), True)
    normalisation = statistics_of(8, grid, rng)
    pixels = rng.normal(2000, 900, (80, 70, 8)).astype(np.float32)
    valid = rng.random((80, 70)) > 0.1
    cube = Cube("field", pixels.shape, "", lambda: pixels, valid=valid)
    engine = IntegerNetwork(network, 8, 5, margins, grid=grid)
    raw = engine.of_pixels(normalisation)
    assert raw is not None
    maps = [np.zeros((80, 70), np.uint8) for _ in range(2)]
    classify_scene(engine.classes, cube, normalisation, 5, maps[0])
    classify_scene(raw.classes, cube, None, 5, maps[1])
    assert len(np.unique(maps[0])) > 2
    np.testing.assert_array_equal(maps[1], maps[0])


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the processor's name is of x86-64")
def test_processors_without_products_of_bytes_have_the_same_logits(tmp_path):
    program = """
import hashlib, sys, numpy as np, torch
sys.path.insert(0, sys.argv[1])
from test_networks_of_pixels import IntegerNetwork, PixelGrid, network_of
for sides in ((1, 1), (3, 1)):
    network = network_of(1, 30, 20, 40, sides, 5, "delayed", 6, 3)
    codes = np.random.default_rng(0).integers(-128, 128, (2, 1, 30, 7, 7))
    engine = IntegerNetwork(network, 30, 5, grid=PixelGrid(8, 2.0**-5, True))
    x = torch.from_numpy((codes * 2.0**-5).astype(np.float32))
    print(hashlib.sha256(engine.logits(x).tobytes()).hexdigest())
"""
    plain = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program, str(Path(__file__).parent)],
            env=os.environ | settings_of_numba,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for settings_of_numba in ({}, plain)
    ]
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0].split())) == 2


def test_a_loop_is_compiled_again_where_another_source_changed(tmp_path, monkeypatch):
    import numba

    source = tmp_path / "loop_of_a_test.py"
    source.write_text("def caller():\n    return helper()\n")

    def result(number: int, sources: str) -> int:
        monkeypatch.setattr(vectors, "_sources", lambda folder: sources)
        spec = spec_from_file_location("loop_of_a_test", source)
        assert spec is not None
        assert spec.loader is not None
        found = module_from_spec(spec)
        spec.loader.exec_module(found)
        found.helper = numba.njit(lambda: number)
        return vectors.compiled(found.caller)()

    assert result(1, "as first") == 1
    assert result(2, "as first") == 1  # from the cache, which does not look at the helper
    assert result(2, "changed") == 2
    (index,) = tmp_path.rglob("*.nbi")
    with index.open("rb") as file:
        pickle.load(file)
        version = file.seek(0, 1)
    index.write_bytes(index.read_bytes()[:version] + b"types that cannot be read")
    assert result(3, "once more") == 3
