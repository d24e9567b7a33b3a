"""Networks of every wiring in the integer engines, against the network in float64.

Weights, biases, thresholds, leaks and pixels are small multiples of powers of two, so that nothing
is rounded anywhere: every logit has to be that of the network in floating point.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import convert
from snnquant.errors import InputError
from snnquant.inference.integer.dense_engine import DenseIntegerNetwork, integer_engine
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.models import build_model
from snnquant.nn.builders import for_axes
from snnquant.nn.kinds import PADS, SYNAPSES
from snnquant.nn.wiring import Concatenate, Mean, Permute, WeightedSum
from snnquant.quantization import freeze, quantize
from snnquant.sampling import PixelGrid
from snnquant.spiking import LIF, SpikingNetwork

GRID = PixelGrid(4, 0.25, True)
BANDS, CLASSES = 9, 4
RESETS = st.sampled_from(["delayed", "same_step", "zero"])
STARTS: dict[int, dict[str, nn.Module]] = {
    1: {"start": nn.Flatten(), "line": nn.Unflatten(1, (1, -1))},
    2: {"start": nn.Flatten(1, 2)},
    3: {},
}
BLOCKS = ("conv", "strided", "padded", "dilated", "depthwise", "grouped", "two", "residual",
          "project", "max", "average", "pad", "beside", "permute")  # fmt: skip


class Builder:
    """Layers of a random SNN; `sample` has the shape of the last one's output."""

    def __init__(self, axes: int, window: int, reset: str, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.reset, self.layers, self.inputs = reset, dict(STARTS[axes]), {}
        self.sample = torch.zeros(1, 1, BANDS, window, window)
        for layer in self.layers.values():
            self.sample = layer(self.sample)

    def add(self, layer: nn.Module, *inputs: str) -> str:
        name = f"l{len(self.layers)}"
        self.layers[name] = layer
        if inputs:
            self.inputs[name] = inputs
        if not isinstance(layer, (LIF, WeightedSum, Concatenate)):
            self.sample = layer(self.sample)
        return name

    def lif(self) -> str:
        leak, threshold = self.random.choice([1, 0.5, 0.75]), self.random.integers(1, 9) / 8
        return self.add(LIF(float(leak), float(threshold), reset=self.reset, initial=0.5))

    def conv(self, outputs: int | None = None, **options: int) -> str:
        shape = self.sample.shape
        kernel = tuple(min(size, int(self.random.integers(1, 4))) for size in shape[2:])
        if "kernel" in options:
            kernel = (options.pop("kernel"),) * (len(shape) - 2)
        if options.get("dilation"):
            kernel = tuple(
                min(k, (size + 1) // 2) for k, size in zip(kernel, shape[2:], strict=True)
            )
        width = outputs or int(self.random.integers(1, 4)) * options.get("groups", 1)
        return self.add(for_axes("conv", shape, shape[1], width, kernel, **options))

    def block(self, kind: str) -> None:
        channels, before = self.sample.shape[1], list(self.layers)[-1] if self.layers else ""
        spikes = before and isinstance(self.layers[before], LIF)
        pool = tuple(
            2 if size > 1 and i == 0 else 1 for i, size in enumerate(self.sample.shape[2:])
        )
        if kind in ("max", "average", "residual", "beside") and not spikes:
            kind = "conv"
        if kind == "max":
            self.add(for_axes("max_pool", self.sample.shape, pool))
        elif kind == "average":
            self.add(for_axes("avg_pool", self.sample.shape, pool))
        elif kind == "pad":
            self.add(PADS[self.sample.ndim - 3](1))
        elif kind == "permute":
            self.add(Permute((0, *range(2, self.sample.ndim), 1)))
            self.add(Permute((0, self.sample.ndim - 1, *range(1, self.sample.ndim - 1))))
        elif kind == "beside":
            branch = [self.conv(kernel=1), self.lif()][1]
            self.add(Concatenate(1), branch, before)
            self.sample = torch.zeros(1, self.sample.shape[1] + channels, *self.sample.shape[2:])
        elif kind in ("residual", "project"):
            shape = self.sample
            branch = self.conv(kernel=1, outputs=channels)
            if kind == "project":
                self.sample = shape
                other = self.add(
                    for_axes("conv", shape.shape, channels, channels, 1), before or "input"
                )
            else:
                other = before
            weights = [1.0, -0.5 if kind == "project" else float(self.random.integers(1, 4)) / 2]
            self.add(WeightedSum(weights), branch, other)
            self.lif()
        else:
            options = {
                "strided": {"stride": 2},
                "padded": {"padding": 1},
                "dilated": {"dilation": 2},
                "depthwise": {"groups": channels},
                "grouped": {"groups": 2 if channels % 2 == 0 else 1},
            }.get(kind, {})
            self.conv(**options)
            if kind == "two":
                self.conv(kernel=1)
            self.lif()

    def network(self, steps: int) -> SpikingNetwork:
        if self.sample.ndim > 3 and self.random.integers(2):
            self.add(Permute((0, *range(1, self.sample.ndim))))
        if not any(isinstance(layer, LIF) for layer in self.layers.values()):
            self.block("conv")
        self.add(nn.Flatten())
        self.add(nn.Linear(self.sample.shape[1], CLASSES))
        network = SpikingNetwork(self.layers, steps, self.inputs).eval()
        for layer in network.layers:
            if isinstance(layer, SYNAPSES):
                self._set_weights(layer)
        quantize(network, QuantizationConfig(bits=4))
        return network

    @torch.no_grad()
    def _set_weights(self, layer: nn.Module) -> None:
        codes = self.random.integers(-7, 8, tuple(layer.weight.shape))
        codes.reshape(len(codes), -1)[:, 0] = 7  # the grid follows the largest weight
        steps = 2.0 ** -self.random.integers(3, 5, len(codes))
        column = steps.reshape(-1, *[1] * (codes.ndim - 1))
        layer.weight.copy_(torch.from_numpy(codes * column))
        layer.bias.copy_(torch.from_numpy(self.random.integers(-8, 9, len(codes)) / 8))


def pixels(seed: int, window: int, count: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(
        GRID.low, GRID.high + 1, (count, 1, BANDS, window, window), generator=generator
    )
    return codes.float() * GRID.step


def in_float64(network: SpikingNetwork, x: torch.Tensor) -> torch.Tensor:
    return freeze(copy.deepcopy(network)).double()(x.double()).detach()


@settings(deadline=None, max_examples=150)
@given(
    st.integers(1, 3),
    st.sampled_from([1, 3]),
    st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=4),
    RESETS,
    st.sampled_from([1, 2, 4]),
    st.integers(0, 9999),
)
def test_any_wiring_gives_the_logits_of_the_network_in_float64(
    axes, window, blocks, reset, steps, seed
):
    builder = Builder(axes, window, reset, seed)
    for kind in blocks:
        builder.block(kind)
    network = builder.network(steps)
    x = pixels(seed, window)
    dense = DenseIntegerNetwork(network, BANDS, window, grid=GRID)
    found = dense.logits(x)[:, 0, 0]
    np.testing.assert_array_equal(found * dense.fixed_point.unit, in_float64(network, x).numpy())
    try:
        events = IntegerNetwork(network, BANDS, window, grid=GRID)
    except InputError:
        return
    np.testing.assert_array_equal(events.logits(x)[:, 0, 0], found)


NAMED = {"separable3d": (16, 5), "resnet3d": (16, 5), "hamida": (16, 5), "luo": (42, 3),
         "li": (16, 5), "hybridsn": (16, 9), "makantasis": (8, 5), "hu_relu": (40, 1)}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_named_networks_have_an_integer_form(name):
    torch.manual_seed(0)
    bands, window = NAMED[name]
    options = {"luo": {"widths": (9, 4)}, "hybridsn": {"widths": (2, 2, 3, 4)}}.get(name, {})
    config = ModelConfig(name=name, window=window, components=0, **options)
    cnn = build_model(config, bands, CLASSES).eval()
    for layer in (m for m in cnn.modules() if isinstance(m, SYNAPSES)):
        layer.bias.data.zero_()  # or the outputs of deep random networks hardly depend on pixels
    grid = PixelGrid(8, 2.0**-5, True)
    codes = torch.randint(grid.low, grid.high + 1, (40, 1, bands, window, window))
    x = codes.float() * grid.step
    network, _ = convert(cnn, x[:1], x, neuron=NeuronConfig(time_steps=3))
    quantize(network.eval(), QuantizationConfig())
    engine = integer_engine(network, bands, window, grid=grid)
    chain = name in ("separable3d", "hybridsn", "li", "makantasis")
    assert isinstance(engine, IntegerNetwork if chain else DenseIntegerNetwork)
    found = engine.logits(x)
    dense = DenseIntegerNetwork(network, bands, window, grid=grid)
    np.testing.assert_array_equal(found, dense.logits(x))
    assert len(np.unique(found[:, 0, 0], axis=0)) > 20
    floats = in_float64(network, x)
    near = torch.from_numpy(found[:, 0, 0] * engine.fixed_point.unit) - floats
    # Between layers without spikes, and before sums, values are rounded.
    tolerance = 1e-3 if chain else 0.02 * float(floats.abs().max())
    assert (near.abs().amax(1) < tolerance).double().mean() > 0.7


def residual(window: int = 3) -> SpikingNetwork:
    builder = Builder(3, window, "delayed", 3)
    for kind in ("conv", "residual"):
        builder.block(kind)
    return builder.network(4)


def test_a_tile_gives_what_its_patches_give():
    engine = DenseIntegerNetwork(residual(), BANDS, 3, grid=GRID)
    tile = pixels(0, 7, 2)
    windows = tile.unfold(3, 3, 1).unfold(4, 3, 1).permute(0, 3, 4, 1, 2, 5, 6)
    by_patch = engine.logits(windows.flatten(0, 2)).reshape(2, 5, 5, CLASSES)
    np.testing.assert_array_equal(engine.logits(tile), by_patch)
    assert torch.equal(engine.classes(tile[:1]), torch.from_numpy(by_patch[0].argmax(-1)))
    values = engine.tile_logits(tile[:1]).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(values, by_patch[0] * engine.fixed_point.unit)


def test_a_pixel_stops_at_the_first_step_whose_margin_is_large_enough():
    network, x = residual(), pixels(1, 3, 200)
    plain = DenseIntegerNetwork(network, BANDS, 3, grid=GRID)
    sums = plain.fixed_point.outputs(x).numpy()
    margins = [0.9, 0.6, 0.3, 0.0]
    classes, steps = DenseIntegerNetwork(network, BANDS, 3, margins, grid=GRID).classes_and_steps(x)
    for pixel in range(200):
        for t in range(4):
            mean = sums[: t + 1, pixel].sum(0) * plain.fixed_point.multiplier * 4 / (t + 1)
            mean = mean + plain.fixed_point.output_bias
            second, best = np.sort(mean)[-2:] * plain.fixed_point.unit
            if best - second > margins[t] or t == 3:
                break
        assert (int(classes[pixel]), int(steps[pixel])) == (mean.argmax(), t + 1)
    assert len(steps.unique()) >= 3


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Upsample(scale_factor=2), "layer odd: found Upsample, expected neurons"),
        (nn.AvgPool3d((2, 1, 1), ceil_mode=True), "layer odd: found AvgPool3d"),
        (nn.AvgPool3d((2, 1, 1), divisor_override=3), "layer odd: found AvgPool3d"),
        (WeightedSum([0.0]), "layer odd: found weights of 0 only"),
        (Mean((2,), keep=True), None),
    ],
)
def test_layers_without_an_integer_form_are_refused_by_name(layer, message):
    layers = {"conv": nn.Conv3d(1, 2, 3), "lif": LIF(), "odd": layer, "conv2": nn.Conv3d(2, 2, 1)}
    layers |= {"lif2": LIF(), "pool": nn.AdaptiveAvgPool3d(1), "flatten": nn.Flatten()}
    layers["linear"] = nn.Linear(2, CLASSES)
    network = quantize(SpikingNetwork(layers, 2).eval(), QuantizationConfig())
    if message is None:
        assert integer_engine(network, BANDS, 3).logits(torch.zeros(1, 1, BANDS, 3, 3)).any()
        return
    with pytest.raises(InputError, match=f"integer engine: {message}"):
        integer_engine(network, BANDS, 3)


def test_outputs_that_are_no_logits_are_refused():
    network = quantize(
        SpikingNetwork({"conv": nn.Conv3d(1, 2, 3), "lif": LIF()}, 2), QuantizationConfig()
    )
    with pytest.raises(InputError, match="layer lif: found an output of shape"):
        integer_engine(network, BANDS, 3)
