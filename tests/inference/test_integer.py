from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")

from snnquant.config import ModelConfig, QuantizationConfig
from snnquant.conversion import convert
from snnquant.errors import InputError
from snnquant.inference.integer import integer_layers, tables
from snnquant.inference.integer.fixed_point_network import INPUT_BITS
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.models import build_model
from snnquant.quantization import freeze, quantize
from snnquant.sampling import PixelGrid
from snnquant.spiking import LIF, SpikingNetwork

CLASSES = 4


def network_of(
    seed: int,
    window: int,
    bands: int,
    reset: str = "delayed",
    stride: int = 2,
    padding: int = 0,
    bits: int = 6,
    time_steps: int = 4,
    widths: tuple[int, int] = (3, 4),
    mean: bool = False,
) -> SpikingNetwork:
    """Build 3-D, then 2-D convolutions, and a dense layer over the rest of the window.

    Or over its mean; then no layer but the last has a window.
    """
    torch.manual_seed(seed)
    side = 1 if mean else min(3, window)
    depth = (bands + 2 * padding - 5) // stride + 1

    def lif() -> LIF:
        leak, threshold = torch.rand(2).tolist()
        return LIF(round(leak, 1), 0.1 + threshold / 4, reset=reset, initial=0.5)

    layers = {
        "conv1": nn.Conv3d(1, widths[0], (5, side, side), (stride, 1, 1), (padding, 0, 0)),
        "lif1": lif(),
        "conv2": nn.Conv3d(*widths, (min(3, depth), 1, 1), padding=(padding, 0, 0)),
        "lif2": lif(),
        "fold": nn.Flatten(1, 2),
    }
    depth = depth + 2 * padding - min(3, depth) + 1
    rest = 1 if mean else max(1, window - 2 * side + 2)
    layers |= {
        "conv3": nn.Conv2d(widths[1] * depth, 20, min(side, window - side + 1)),
        "lif3": lif(),
        "mean": nn.AvgPool2d(window) if mean else nn.Identity(),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(),
        "classifier": nn.Linear(20 * rest**2, CLASSES),
    }
    network = SpikingNetwork(layers, time_steps).eval()
    quantize(network, QuantizationConfig(bits=bits))
    return network


def forms_of(engine: IntegerNetwork) -> list[list[bool]]:
    """Return all choices of layers that multiply."""
    return [list(c) for c in product(*([False, True][: 1 + can] for can in engine.can_multiply))]


def test_the_form_of_a_layer_is_measured_on_the_first_pixels(reference):
    network = network_of(0, 5, 24, "delayed", 2, 0, 6, 4, (9, 17), False)
    engine = IntegerNetwork(network, 24, 5)
    assert engine.dense is None
    few, many = torch.randn(2, 1, 24, 6, 6), torch.randn(1, 1, 24, 20, 20)
    engine.logits(few)
    assert engine.dense is None
    np.testing.assert_array_equal(engine.logits(many), reference(engine.fixed_point, many)[1])
    assert engine.dense is not None
    assert all(
        can or not dense for can, dense in zip(engine.can_multiply, engine.dense, strict=True)
    )
    assert engine.can_multiply == [False, True, True]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 9999),
    st.sampled_from([1, 3, 5]),
    st.integers(7, 24),
    st.sampled_from(["delayed", "same_step", "zero"]),
    st.integers(1, 4),
    st.integers(0, 1),
    st.sampled_from([3, 6, 8]),
    st.integers(1, 6),
    st.sampled_from([(3, 4), (9, 17)]),
    st.booleans(),
    st.booleans(),
)
def test_every_bit_is_that_of_the_same_numbers_in_float64(
    reference,
    seed,
    window,
    bands,
    reset,
    stride,
    padding,
    bits,
    time_steps,
    widths,
    wide_sums,
    mean,
):
    options = (reset, stride, padding, bits, time_steps, widths, mean)
    network = network_of(seed, window, bands, *options)
    with pytest.MonkeyPatch.context() as patch:
        if wide_sums:
            patch.setattr(tables, "SHORT", 0)
        engine = IntegerNetwork(network, bands, window)
    x = torch.randn(3, 1, bands, window + 2, window + 1)
    x[0, 0, 0] = 99.0  # past the input's limit
    expected_spikes, expected_logits = reference(engine.fixed_point, x)
    for layer, expected in enumerate(expected_spikes):
        np.testing.assert_array_equal(engine.spikes(x, layer), expected)
    for forms in forms_of(engine):
        engine.dense = forms
        np.testing.assert_array_equal(engine.logits(x), expected_logits)


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 9999),
    st.sampled_from(["delayed", "same_step", "zero"]),
    st.integers(2, 14),
    st.booleans(),
)
def test_pixels_on_a_grid_are_summed_as_their_codes(reference, seed, reset, bits, signed):
    grid = PixelGrid(bits, float(np.float32(0.037)), signed)
    network = network_of(seed, 3, 16, reset)
    engine = IntegerNetwork(network, 16, 3, grid=grid)
    fixed = engine.fixed_point
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(grid.low, grid.high + 1, (40, 1, 16, 3, 3), generator=generator)
    x = codes.float() * torch.tensor(grid.step)
    assert torch.equal((x.double() * fixed.input_scale).round(), codes.double())
    assert fixed.input_limit == max(-grid.low, grid.high)
    expected_spikes, expected_logits = reference(fixed, x)
    for layer, expected in enumerate(expected_spikes):
        np.testing.assert_array_equal(engine.spikes(x, layer), expected)
    np.testing.assert_array_equal(engine.logits(x), expected_logits)
    floats = freeze(network).double()(x.double()).detach()
    found = torch.from_numpy(engine.logits(x)[:, 0, 0] * fixed.unit)
    assert ((found - floats).abs().amax(1) < 1e-3).double().mean() > 0.8


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 9999), st.sampled_from(["delayed", "same_step", "zero"]), st.booleans())
def test_logits_are_those_of_the_network_in_floats(seed, reset, mean):
    network = network_of(seed, 3, 16, reset, mean=mean)
    engine = IntegerNetwork(network, 16, 3)
    # Inputs on the integer grid: only neurons within rounding of a threshold can differ, which
    # may be one neuron in every patch.
    x = (torch.randn(200, 1, 16, 3, 3) * 2**INPUT_BITS).round() / 2**INPUT_BITS
    expected = freeze(network).double()(x.double()).detach()
    found = torch.from_numpy(engine.logits(x)[:, 0, 0] * engine.fixed_point.unit)
    assert (found - expected).abs().mean() < 0.02 * expected.abs().mean()


@pytest.mark.parametrize("mean", [False, True])
def test_a_tile_gives_what_its_patches_give(mean):
    network = network_of(1, 5, 20, mean=mean)
    engine = IntegerNetwork(network, 20, 5)
    tile = torch.randn(1, 1, 20, 9, 8)
    windows = tile[0].unfold(2, 5, 1).unfold(3, 5, 1).permute(2, 3, 0, 1, 4, 5)
    by_patch = engine.logits(windows.flatten(0, 1)).reshape(5, 4, CLASSES)
    np.testing.assert_array_equal(engine.logits(tile)[0], by_patch)
    assert torch.equal(engine.classes(tile), torch.from_numpy(by_patch.argmax(-1)))


def test_more_patches_than_run_together_give_what_each_gives(monkeypatch):
    engine = IntegerNetwork(network_of(4, 3, 16), 16, 3)
    x = torch.randn(7, 1, 16, 3, 3)
    monkeypatch.setattr(integer_layers, "PIXELS_AT_ONCE", 20)  # two patches at a time, then one
    one_by_one = np.concatenate([engine.logits(patch[None]) for patch in x])
    np.testing.assert_array_equal(engine.logits(x), one_by_one)


def test_sums_that_do_not_fit_into_16_bits_are_kept_in_32(reference):
    torch.manual_seed(0)
    layers = {
        "conv1": nn.Conv3d(1, 600, (8, 1, 1)),
        "lif1": LIF(0.9, 0.1, initial=0.5),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(600, CLASSES),
    }
    layers["classifier"].weight.data.abs_()  # every spike adds
    network = quantize(SpikingNetwork(layers, 4).eval(), QuantizationConfig(bits=8))
    engine = IntegerNetwork(network, 8, 1)
    x = torch.randn(5, 1, 8, 1, 1).abs() * 4
    expected = reference(engine.fixed_point, x)[1]
    assert (expected / engine.fixed_point.multiplier).max() > 2**15
    np.testing.assert_array_equal(engine.logits(x), expected)


def test_class_sums_of_a_mean_are_whole_spikes_times_whole_weights():
    network = network_of(5, 3, 16, mean=True)
    engine = IntegerNetwork(network, 16, 3)
    x = torch.randn(20, 1, 16, 3, 3)
    spikes = engine.spikes(x, 2).sum(axis=(0, 2, 3, 4))  # over steps and the window, [N, K]
    readout = engine.fixed_point.synapses[-1]
    codes = readout.codes.reshape(CLASSES, 9, 20)
    assert (codes == codes[:, :1]).all()
    sums = spikes.astype(np.int64) @ codes[:, 0].T
    fixed = engine.fixed_point
    assert len(np.unique(sums)) > 20
    np.testing.assert_array_equal(
        engine.logits(x)[:, 0, 0], sums * fixed.multiplier + fixed.output_bias
    )


@pytest.mark.parametrize("name", ["cnn1x1", "cnn1x1h"])
@pytest.mark.parametrize("window", [1, 3, 5])
def test_networks_of_kernels_over_all_bands_have_an_integer_form(reference, name, window):
    torch.manual_seed(window)
    x = (torch.randn(100, 1, 16, window, window) * 2**INPUT_BITS).round() / 2**INPUT_BITS
    cnn = build_model(ModelConfig(name=name, window=window), 16, CLASSES).eval()
    network, _ = convert(cnn, x[:1], x)
    quantize(network.eval(), QuantizationConfig())
    engine = IntegerNetwork(network, 16, window)
    expected_spikes, expected_logits = reference(engine.fixed_point, x)
    for layer, spikes in enumerate(expected_spikes):
        np.testing.assert_array_equal(engine.spikes(x, layer), spikes)
    np.testing.assert_array_equal(engine.logits(x), expected_logits)
    floats = freeze(network).double()(x.double()).detach()
    found = torch.from_numpy(engine.logits(x)[:, 0, 0] * engine.fixed_point.unit)
    assert ((found - floats).abs().amax(1) < 1e-3).double().mean() > 0.9


def test_a_channel_without_weights_does_no_harm(reference):
    network = network_of(2, 3, 16)
    with torch.no_grad():
        network.layers.conv2.parametrizations.weight.original[1] = 0
    engine = IntegerNetwork(network, 16, 3)
    x = torch.randn(5, 1, 16, 3, 3)
    np.testing.assert_array_equal(engine.logits(x), reference(engine.fixed_point, x)[1])


def exits_by_hand(engine, network, x, margins):
    """Derive classes and steps from the logits of runs of 1, 2, ... T steps."""
    steps = np.full(len(x), network.time_steps)
    classes = engine.logits(x)[:, 0, 0].argmax(-1)
    for t in reversed(range(1, network.time_steps)):
        network.time_steps = t
        short = IntegerNetwork(network, x.shape[2], x.shape[3])
        logits = short.logits(x)[:, 0, 0] * short.fixed_point.unit
        best = np.sort(logits, axis=1)
        settled = best[:, -1] - best[:, -2] > margins[t - 1]
        classes[settled], steps[settled] = logits.argmax(1)[settled], t
    return classes, steps


@pytest.mark.parametrize(("window", "mean"), [(1, False), (3, False), (5, False), (3, True)])
def test_a_pixel_stops_at_the_first_step_whose_margin_is_large_enough(window, mean):
    network = network_of(3, window, 16, time_steps=5, mean=mean)
    margins = [margin * (3 if mean else 1) for margin in (0.12, 0.08, 0.05, 0.04, 0.0)]
    plain = IntegerNetwork(network, 16, window)
    engine = IntegerNetwork(network, 16, window, margins)
    x = torch.randn(300, 1, 16, window, window)
    classes, steps = engine.classes_and_steps(x)
    expected_classes, expected_steps = exits_by_hand(plain, network, x, margins)
    assert len(np.unique(expected_steps)) >= 3
    # The rounding of the readout's bias depends on T: a margin within that may differ.
    same = steps[:, 0, 0].numpy() == expected_steps
    assert same.mean() > 0.99
    np.testing.assert_array_equal(classes[:, 0, 0].numpy()[same], expected_classes[same])


def test_all_pixels_may_stop_at_once():
    network = network_of(3, 3, 16)
    engine = IntegerNetwork(network, 16, 3, [-1.0] * 4)
    assert engine.classes_and_steps(torch.randn(2, 1, 16, 8, 9))[1].unique().tolist() == [1]


def test_without_a_margin_that_is_reached_the_classes_are_the_plain_ones():
    network = network_of(3, 3, 16)
    engine = IntegerNetwork(network, 16, 3, [np.inf] * 4)
    x = torch.randn(2, 1, 16, 20, 9)
    classes, steps = engine.classes_and_steps(x)
    assert torch.equal(classes, torch.from_numpy(engine.logits(x).argmax(-1)))
    assert steps.unique().tolist() == [4]


def averaged(*names: str) -> dict[str, nn.Module]:
    """Build a chain of 1x1 kernels with means in it, in the order of the names."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv3d(1, 2, (8, 1, 1)),
        "lif": LIF(),
        "fold": nn.Flatten(1, 2),
        "conv2": nn.Conv2d(2, 2, 1),
        "lif2": LIF(),
        "mean": nn.AvgPool2d(3),
        "part": nn.AvgPool2d(2),
        "padded": nn.AvgPool2d(3, padding=1),
        "scaled": nn.AvgPool2d(3, divisor_override=2),
        "flatten": nn.Flatten(),
        "linear": nn.Linear(2, 3),
    }
    return {name: layers[name] for name in ("conv1", "lif", "fold", *names, "flatten", "linear")}


def two_convolutions() -> dict[str, nn.Module]:
    return {
        "conv1": nn.Conv3d(1, 2, 3),
        "conv2": nn.Conv3d(2, 2, 1),
        "lif": LIF(),
        "flatten": nn.Flatten(),
        "linear": nn.Linear(12, 3),
    }


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (two_convolutions(), "layer conv2: found a layer without spikes before it"),
        (
            {"conv1": nn.Conv3d(1, 2, 3, padding=1), "lif": LIF(), "flatten": nn.Flatten()},
            "layer conv1: found strides, padding",
        ),
        (
            {"conv1": nn.Conv3d(1, 2, 3), "lif": LIF(), "pool": nn.AvgPool3d((2, 1, 1))},
            "layer pool: found AvgPool3d",
        ),
        ({"conv1": nn.Conv3d(1, 2, 3), "lif": LIF()}, "layer lif: found neurons"),
        (averaged("part"), "layer part: found AvgPool2d"),
        (averaged("padded"), "layer padded: found AvgPool2d"),
        (averaged("scaled"), "layer scaled: found AvgPool2d"),
        (averaged("conv2", "mean", "lif2"), "layer mean: found AvgPool2d"),
        (averaged("mean", "conv2", "lif2"), "layer conv2: found a convolution after a mean"),
    ],
)
def test_networks_without_an_integer_form_are_refused_by_layer(layers, message):
    network = quantize(SpikingNetwork(layers, 2), QuantizationConfig())
    with pytest.raises(InputError, match=f"integer engine: {message}"):
        IntegerNetwork(network, 8, 3)


def test_weights_in_floating_point_are_refused():
    with pytest.raises(InputError, match="floating point"):
        IntegerNetwork(freeze(network_of(0, 3, 16)), 16, 3)
