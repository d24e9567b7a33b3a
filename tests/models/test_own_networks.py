from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn import layer_table, parameter_count
from snnquant.quantization import quantize
from snnquant.spiking import LIF, SpikingNetwork

CONVOLUTIONS = {"cnn32h": 4, "cnn3d": 4, "cnn1x1": 2, "cnn1x1h": 3, "cnn1x1w": 3}
NAMES = list(CONVOLUTIONS)
WINDOWS = st.integers(0, 4).map(lambda k: 2 * k + 1)
NETWORK = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(
        st.just(name), st.none() | st.tuples(*[st.integers(1, 4)] * CONVOLUTIONS[name])
    )
)
ANY_NETWORK = {
    "network": NETWORK,
    "bands": st.integers(1, 220),
    "window": WINDOWS,
    "classes": st.integers(1, 20),
}


def example_patch(bands: int, window: int, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 1, bands, window, window)


@given(**ANY_NETWORK, batch_norm=st.booleans())
@example(network=("cnn3d", None), bands=1, window=1, classes=1, batch_norm=True)
@example(network=("cnn32h", None), bands=220, window=9, classes=20, batch_norm=True)
@example(network=("cnn1x1", None), bands=1, window=1, classes=1, batch_norm=True)
@example(network=("cnn1x1h", None), bands=220, window=9, classes=20, batch_norm=True)
@settings(deadline=None, max_examples=60)
def test_any_spectrum_and_window_give_logits(network, bands, window, classes, batch_norm):
    config = ModelConfig(name=network[0], window=window, widths=network[1])
    cnn = build_model(config, bands, classes, batch_norm=batch_norm).eval()
    logits = cnn(example_patch(bands, window, count=2))
    assert logits.shape == (2, classes)
    assert torch.isfinite(logits).all()
    spiking = to_spiking(cnn, example_patch(bands, window), NeuronConfig(time_steps=2)).eval()
    assert spiking(example_patch(bands, window, count=2)).shape == (2, classes)


@given(**ANY_NETWORK)
@settings(deadline=None, max_examples=25)
def test_layer_table_counts_half_of_torchs_flops(network, bands, window, classes):
    config = ModelConfig(name=network[0], window=window, widths=network[1])
    cnn = build_model(config, bands, classes).eval()
    patch = example_patch(bands, window)
    with FlopCounterMode(display=False) as counter:
        cnn(patch)
    table = layer_table(cnn, patch)
    assert 2 * sum(row.mac for row in table) == counter.get_total_flops()


def test_layer_table_of_a_hand_worked_convolution():
    """20 x 198 x 3 x 3 outputs of 3 x 3 x 3 products each: 35,640 x 27 = 962,280."""
    model = nn.Sequential(nn.Conv3d(1, 20, 3))
    (row,) = layer_table(model, example_patch(200, 5))
    assert row.mac == 962_280
    assert (row.name, row.kind) == ("0", "conv3d")
    assert row.input_shape == (1, 200, 5, 5)
    assert row.weight_shape == (20, 1, 3, 3, 3)
    assert row.output_shape == (20, 198, 3, 3)
    assert (row.stride, row.padding) == ((1, 1, 1), (0, 0, 0))


@pytest.mark.parametrize("name", NAMES)
def test_layer_table_is_one_for_cnn_quantized_cnn_and_snn(name: str):
    """An SNN's row is one step of one pixel, however its time steps are folded into the batch."""
    cnn = build_model(ModelConfig(name=name), 60, 7)
    patch = example_patch(60, 5)
    table = layer_table(cnn, patch)
    assert table == layer_table(quantize(copy.deepcopy(cnn), QuantizationConfig()), patch)
    for steps in (1, 4):
        spiking = layer_table(to_spiking(cnn, patch, NeuronConfig(time_steps=steps)), patch)
        assert [row.name for row in spiking] == [f"layers.{row.name}" for row in table]
        for ours, theirs in zip(table, spiking, strict=True):
            assert theirs.to_dict() | {"name": ours.name} == ours.to_dict()


@pytest.mark.parametrize("training", [True, False])
def test_layer_table_leaves_the_model_as_it_was(training: bool):
    model = build_model(ModelConfig(window=3), 20, 3, batch_norm=True).train(training)
    before = copy.deepcopy(model.state_dict())
    layer_table(model, example_patch(20, 3))
    assert model.training is training
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", NAMES)
@given(bands=st.integers(1, 220), window=WINDOWS)
@settings(deadline=None, max_examples=20)
def test_networks_do_not_pad_and_pool_only_before_the_classifier(name, bands, window):
    """Padding would add pixels that were not measured; pooling after spikes gives no spikes."""
    cnn = build_model(ModelConfig(name=name, window=window), bands, 3)
    kinds = (nn.Conv3d, nn.Conv2d, nn.Linear, nn.ReLU, nn.Flatten, nn.Dropout)
    others = [key for key, module in cnn.named_children() if not isinstance(module, kinds)]
    assert others == (["mean"] if name == "cnn1x1" else [])
    assert [key for key, _ in cnn.named_children()][-3:] == ["flatten", "dropout", "classifier"]
    rows = layer_table(cnn, example_patch(bands, window))
    assert all(row.padding == (0,) * len(row.padding) for row in rows)
    convolutions = [module for module in cnn if isinstance(module, (nn.Conv3d, nn.Conv2d))]
    assert len(convolutions) == CONVOLUTIONS[name]
    assert sum(isinstance(module, nn.ReLU) for module in cnn) == CONVOLUTIONS[name]


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        # (200 - 7) // 4 + 1 = 49 bands, (49 - 3) // 2 + 1 = 24, (24 - 3) // 2 + 1 = 11, then 5
        ("cnn3d", [(16, 49, 3, 3), (32, 24, 1, 1), (64, 11, 1, 1), (64, 5, 1, 1), (16,)]),
        # 49 bands, (49 - 5) // 3 + 1 = 15, folded into 16 x 15 = 240 channels
        ("cnn32h", [(8, 49, 3, 3), (16, 15, 3, 3), (128, 1, 1), (128, 1, 1), (16,)]),
        # One kernel of all bands; the window's mean, or two kernels of 3x3, before the classifier
        ("cnn1x1", [(64, 1, 5, 5), (128, 5, 5), (16,)]),
        ("cnn1x1h", [(16, 1, 5, 5), (64, 3, 3), (128, 1, 1), (16,)]),
    ],
)
def test_shapes_of_the_networks_for_indian_pines(name, shapes):
    rows = layer_table(build_model(ModelConfig(name=name), 200, 16), example_patch(200, 5))
    assert [row.output_shape for row in rows] == shapes
    third = {"cnn3d": (32, 24, 1, 1), "cnn32h": (240, 3, 3), "cnn1x1": (128,)}
    assert rows[2].input_shape == third.get(name, (64, 3, 3))


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        # 25 x 200 x 64 + 25 x 64 x 128 + 128 x 16
        ("cnn1x1", [320_000, 204_800, 2_048]),
        # 25 x 200 x 16 + 9 x (16 x 9) x 64 + 1 x (64 x 9) x 128 + 128 x 16
        ("cnn1x1h", [80_000, 82_944, 73_728, 2_048]),
    ],
)
def test_products_of_kernels_over_all_bands(name, macs):
    rows = layer_table(build_model(ModelConfig(name=name), 200, 16), example_patch(200, 5))
    assert [row.mac for row in rows] == macs


@pytest.mark.parametrize("spiking", [False, True])
def test_a_mean_over_the_window_does_not_know_where_a_pixel_lies_in_it(spiking):
    torch.manual_seed(0)
    network = build_model(ModelConfig(name="cnn1x1"), 30, 4).eval()
    if spiking:
        network = to_spiking(network, example_patch(30, 5), NeuronConfig(time_steps=3)).eval()
    x = example_patch(30, 5, count=6) * 5
    places = torch.randperm(25)
    with torch.no_grad():
        expected, found = network(x), network(x.flatten(3)[..., places].view_as(x))
    assert len(expected.unique(dim=0)) > 1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_widths_are_the_filters_of_the_convolutions(name: str):
    widths = (3, 5, 7, 2)[: CONVOLUTIONS[name]]
    cnn = build_model(ModelConfig(name=name, widths=widths), 40, 4)
    rows = layer_table(cnn, example_patch(40, 5))
    assert [row.weight_shape[0] for row in rows] == [*widths, 4]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("more", [-1, 1, 5])
def test_another_number_of_widths_is_refused(name: str, more: int):
    wanted = CONVOLUTIONS[name]
    config = ModelConfig(name=name, widths=(4,) * (wanted + more))
    found = rf"--widths: found {wanted + more} numbers, expected {wanted} .*{name}$"
    with pytest.raises(InputError, match=found):
        build_model(config, 40, 4)


def test_strides_shorten_the_spectrum():
    cnn = build_model(ModelConfig(name="cnn32h", strides=(7, 1, 1, 1)), 203, 4)
    shapes = [row.output_shape for row in layer_table(cnn, example_patch(203, 5))]
    # (203 - 7) / 7 + 1 = 29 places, then 29 - 5 + 1 of stride 1
    assert (shapes[0][1], shapes[1][1]) == (29, 25)


@pytest.mark.parametrize(
    ("name", "strides", "words"),
    [
        ("cnn32h", (4, 3, 2, 1), "found 2 for conv3 of cnn32h"),
        ("cnn1x1", (2, 1), "found 2 for conv1 of cnn1x1"),
        ("cnn3d", (2, 1), "found 2 numbers, expected 4"),
    ],
)
def test_strides_that_would_do_nothing_are_refused(name, strides, words):
    with pytest.raises(InputError, match=f"--strides: {words}"):
        build_model(ModelConfig(name=name, strides=strides), 40, 4)


@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_follows_every_convolution_where_asked(name: str):
    modules = list(build_model(ModelConfig(name=name), 40, 4, batch_norm=True))
    for module, after in pairwise(modules):
        if isinstance(module, nn.Conv3d):
            assert isinstance(after, nn.BatchNorm3d)
        elif isinstance(module, nn.Conv2d):
            assert isinstance(after, nn.BatchNorm2d)
        if isinstance(after, (nn.BatchNorm2d, nn.BatchNorm3d)):
            assert after.num_features == module.out_channels


NEURONS = st.builds(
    NeuronConfig,
    time_steps=st.integers(1, 6),
    reset=st.sampled_from(["delayed", "same_step", "zero"]),
    initial=st.floats(0, 1),
    surrogate=st.sampled_from(["triangle", "arctan", "boxcar"]),
    surrogate_scale=st.floats(0.1, 2),
    surrogate_width=st.floats(0.1, 2),
)


@given(neuron=NEURONS, name=st.sampled_from(NAMES), training=st.booleans())
@settings(deadline=None, max_examples=20)
def test_to_spiking_replaces_every_relu_and_keeps_the_cnn(neuron, name, training):
    cnn = build_model(ModelConfig(name=name, window=3), 20, 3, batch_norm=True).train(training)
    before, names = copy.deepcopy(cnn.state_dict()), [key for key, _ in cnn.named_children()]
    snn = to_spiking(cnn, example_patch(20, 3), neuron)
    assert isinstance(snn, SpikingNetwork)
    assert snn.time_steps == neuron.time_steps
    assert not any(isinstance(module, nn.ReLU) for module in snn.modules())
    assert [key for key, _ in snn.layers.named_children()] == [
        key.replace("relu", "lif") for key in names if not key.startswith("norm")
    ]
    for key, module in cnn.named_children():
        if not isinstance(module, nn.ReLU):
            continue
        lif = snn.layers.get_submodule(key.replace("relu", "lif"))
        assert isinstance(lif, LIF)
        assert (lif.threshold.item(), lif.leak.item()) == (1, 1)
        assert (lif.reset, lif.initial) == (neuron.reset, neuron.initial)
        surrogate = lif.surrogate
        assert surrogate.kind == neuron.surrogate
        assert (surrogate.scale, surrogate.width) == (
            neuron.surrogate_scale,
            neuron.surrogate_width,
        )
    with torch.no_grad():
        for parameter in snn.parameters():
            parameter.add_(1)
    assert [key for key, _ in cnn.named_children()] == names
    assert cnn.training is training
    for key, value in cnn.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_parameter_count_of_a_hand_worked_network():
    """10 x (4 x 9 + 1) = 370 of the convolution, 3 x 10 + 3 = 33 of the classifier."""
    model = nn.Sequential(
        nn.Conv2d(4, 10, 3), nn.BatchNorm2d(10, affine=False), nn.ReLU(), nn.Linear(10, 3)
    )
    assert parameter_count(model) == 403


@pytest.mark.parametrize("name", NAMES)
def test_parameter_count_of_quantized_and_spiking_networks(name: str):
    """A quantized weight counts once; an SNN adds a leak and a threshold per layer."""
    cnn = build_model(ModelConfig(name=name), 60, 7)
    weights = sum(
        torch.Size(row.weight_shape).numel() + row.weight_shape[0]
        for row in layer_table(cnn, example_patch(60, 5))
    )
    assert parameter_count(cnn) == weights
    neurons = weights + 2 * CONVOLUTIONS[name]
    assert parameter_count(to_spiking(cnn, example_patch(60, 5), NeuronConfig())) == neurons
    for config in (QuantizationConfig(), QuantizationConfig(clip="mse", neuron_bits=8)):
        snn = quantize(to_spiking(cnn, example_patch(60, 5), NeuronConfig()), config)
        assert parameter_count(snn) == neurons
