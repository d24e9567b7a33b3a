from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.energy import LayerActivity, measure, observe, operations, shared_between_windows
from snnquant.inference import dense_form
from snnquant.models import build_model
from snnquant.nn import layer_table
from snnquant.quantization import quantize
from snnquant.sampling import Patches
from snnquant.spiking import LIF, SpikingNetwork
from snnquant.training import AccumulateMeter, predict

BANDS, WINDOW = 9, 5
PIXELS = torch.tensor([0, 7, 20, 41, 63])


def random_network(seed: int, steps: int, strides: tuple[int, int, int]) -> SpikingNetwork:
    """Build 3-D strided and padded, folded, 2-D strided and dense layers after spikes."""
    torch.manual_seed(seed)

    def lif() -> LIF:
        return LIF(0.9, float(torch.rand(()) * 0.3 + 0.05), initial=0.5)

    first, second, third = strides
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv3d(1, 2, (2, 2, 2), (first, 1, 1)),
        "lif1": lif(),
        "drop": nn.Dropout(0.5),
        "conv2": nn.Conv3d(2, 3, (2, 3, 2), (second, 1, second), padding=(1, 0, 1)),
        "lif2": lif(),
        "fold": nn.Flatten(1, 2),
        "conv3": nn.LazyConv2d(4, 2, third, padding=third - 1),
        "lif3": lif(),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(0.5),
        "classifier": nn.LazyLinear(3),
    }
    network = SpikingNetwork(layers, steps).eval()
    with torch.no_grad():
        network(torch.zeros(1, 1, BANDS, WINDOW, WINDOW))
    return network


NETWORKS = {
    "seed": st.integers(0, 2**32),
    "steps": st.integers(1, 4),
    "strides": st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)),
}


@torch.no_grad()
def record(network: nn.Module, patches: Patches) -> dict[str, Tensor]:
    """Return the outputs of all LIF layers, [T, N, ...], for all PIXELS at once."""
    spikes: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: spikes.update({name: output.clone()})

    handles = [
        module.register_forward_hook(keep(name.removeprefix("layers.")))
        for name, module in network.named_modules()
        if isinstance(module, LIF)
    ]
    network.eval()(patches.gather(PIXELS))
    for handle in handles:
        handle.remove()
    return spikes


def reached(spikes: Tensor, row: LayerActivity) -> int:
    """Count accumulates in a plain loop: every spike times the outputs that a kernel maps it to."""
    info = row.info
    filters = info.weight_shape[0]
    if info.kind == "linear":
        return int(spikes.sum()) * filters
    total = 0
    for place in spikes.flatten(0, 1).nonzero().tolist():
        _, _, *position = place
        axes = zip(
            position,
            info.output_shape[1:],
            info.weight_shape[2:],
            info.stride,
            info.padding,
            strict=True,
        )
        hits = 1
        for at, outputs, kernel, stride, padding in axes:
            hits *= sum(
                out * stride - padding + offset == at
                for out, offset in product(range(outputs), range(kernel))
            )
        total += hits * filters
    return total


@given(**NETWORKS, batch_size=st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_accumulates_are_those_of_a_plain_loop_over_spikes(
    seed, steps, strides, batch_size, patches_of
):
    network, patches = random_network(seed, steps, strides), patches_of(BANDS, WINDOW, seed)
    spikes = record(network, patches)
    spikes["lif2"] = spikes["lif2"].flatten(2, 3)
    spikes["lif3"] = spikes["lif3"].flatten(2)
    activity = measure(network, patches, PIXELS, batch_size)
    names = ["conv1", "conv2", "conv3", "classifier"]
    assert [row.info.name for row in activity] == [f"layers.{name}" for name in names]
    assert [row.spiking for row in activity] == [False, True, True, True]
    for lif, row in zip(("lif1", "lif2", "lif3"), activity[1:], strict=True):
        count = spikes[lif].sum().item()
        assert row.mac == 0
        assert row.ac == pytest.approx(reached(spikes[lif], row) / len(PIXELS), rel=1e-6)
        assert row.input_density == pytest.approx(count / spikes[lif].numel(), rel=1e-6)
        spikes_per_neuron = count / len(PIXELS) / spikes[lif][0, 0].numel()
        assert row.ac_by_rate == pytest.approx(spikes_per_neuron * row.info.mac, rel=1e-6)
        fired = spikes[lif].amax(0, keepdim=True)
        assert row.active_share == pytest.approx(fired.mean().item(), rel=1e-6)
        assert row.fetched == pytest.approx(reached(fired, row) / len(PIXELS), rel=1e-6)


def test_the_random_networks_do_spike(patches_of):
    """So that the test above counts something in every layer."""
    spikes = record(random_network(0, 3, (2, 1, 1)), patches_of(BANDS, WINDOW))
    for layer in spikes.values():
        assert 0.02 < layer.mean() < 0.98


@given(**NETWORKS)
@settings(deadline=None, max_examples=20)
def test_the_first_layer_multiplies_once_per_pixel(seed, steps, strides, patches_of):
    network, patches = random_network(seed, steps, strides), patches_of(BANDS, WINDOW, seed)
    first = measure(network, patches, PIXELS)[0]
    assert (first.mac, first.ac, first.ac_by_rate) == (first.info.mac, 0, 0)
    nonzero = (patches.gather(PIXELS) != 0).double().mean().item()
    assert first.input_density == pytest.approx(nonzero)
    assert 0.5 < nonzero < 0.8


@pytest.mark.parametrize("name", ["cnn3d", "cnn32h", "cnn1x1", "cnn1x1h"])
@pytest.mark.parametrize("quantized", [False, True])
def test_a_cnn_multiplies_everywhere(name, quantized, patches_of):
    torch.manual_seed(0)
    cnn = build_model(ModelConfig(name=name, window=3), 20, 4)
    if quantized:
        quantize(cnn, QuantizationConfig(activation_bits=32))
    patches = patches_of(20, 3)
    table = layer_table(cnn, patches.gather(PIXELS[:1]))
    activity = measure(cnn, patches, PIXELS)
    assert [row.info for row in activity] == table
    assert [(row.spiking, row.mac, row.ac, row.ac_by_rate) for row in activity] == [
        (False, info.mac, 0, 0) for info in table
    ]
    assert operations(activity) == {"mac": sum(info.mac for info in table), "ac": 0}
    relu = cnn.get_submodule("conv1")(patches.gather(PIXELS)).relu()
    assert activity[1].input_density == pytest.approx((relu > 0).double().mean().item())
    assert all(row.active_share == pytest.approx(row.input_density) for row in activity)
    fired = (relu > 0).float().reshape(1, len(PIXELS), *activity[1].info.input_shape)
    by_hand = reached(fired, activity[1]) / len(PIXELS)
    assert activity[1].fetched == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_operations_are_the_sums_over_the_layers(steps, patches_of):
    torch.manual_seed(0)
    cnn = build_model(ModelConfig(name="cnn32h", window=3), 20, 4)
    snn = to_spiking(cnn, torch.zeros(1, 1, 20, 3, 3), NeuronConfig(time_steps=steps))
    for lif in snn.layers:
        if isinstance(lif, LIF):
            nn.init.constant_(lif.threshold, 0.05)
    patches = patches_of(20, 3)
    activity = measure(snn, patches, PIXELS)
    total = operations(activity)
    assert total["mac"] == activity[0].info.mac
    assert total["ac"] == pytest.approx(sum(row.ac for row in activity[1:]))
    assert total["ac"] > 0


@given(**NETWORKS, batch_size=st.integers(1, 6))
@settings(deadline=None, max_examples=20)
def test_spike_rates_are_the_means_of_the_spikes(seed, steps, strides, batch_size, patches_of):
    network, patches = random_network(seed, steps, strides), patches_of(BANDS, WINDOW, seed)
    rates = observe(network, patches, PIXELS, batch_size).spike_rates
    spikes = record(network, patches)
    assert list(rates) == ["lif1", "lif2", "lif3"]
    for name, rate in rates.items():
        assert rate == pytest.approx(spikes[name].double().mean().item(), abs=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_measuring_never_drops_out_and_leaves_the_network_as_it_was(training, patches_of):
    network, patches = random_network(0, 3, (2, 1, 1)), patches_of(BANDS, WINDOW)
    before = copy.deepcopy(network.state_dict())
    first = measure(network, patches, PIXELS)
    rates = observe(network, patches, PIXELS).spike_rates
    network.train(training)
    assert measure(network, patches, PIXELS) == first
    assert observe(network, patches, PIXELS).spike_rates == rates
    assert network.training is training
    assert not any(module._forward_hooks for module in network.modules())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


@given(**NETWORKS, batch_size=st.integers(1, 6))
@settings(deadline=None, max_examples=20)
def test_one_pass_gives_the_logits_of_predict(seed, steps, strides, batch_size, patches_of):
    network, patches = random_network(seed, steps, strides), patches_of(BANDS, WINDOW, seed)
    passes = []
    handle = network.register_forward_hook(lambda m, inputs, output: passes.append(len(inputs[0])))
    seen = observe(network, patches, PIXELS, batch_size)
    handle.remove()
    first, *batches = passes  # the first reads the shapes off one patch
    assert (first, sum(batches)) == (1, len(PIXELS))
    assert torch.equal(seen.logits, predict(network, patches, PIXELS, batch_size))
    assert seen.layers == measure(network, patches, PIXELS, batch_size)


def test_a_forward_that_fails_leaves_no_hooks(patches_of):
    network, patches = random_network(0, 3, (2, 1, 1)), patches_of(BANDS, WINDOW)
    outside = torch.tensor([0, 10**6])
    for count in (measure, observe):
        with pytest.raises(IndexError):
            count(network, patches, outside)
        assert not any(module._forward_hooks for module in network.modules())


@given(**NETWORKS, quantized=st.booleans())
@settings(deadline=None, max_examples=20)
def test_the_meter_reads_what_measure_counts(seed, steps, strides, quantized, patches_of):
    network, patches = random_network(seed, steps, strides), patches_of(BANDS, WINDOW, seed)
    if quantized:
        quantize(network, QuantizationConfig())
    meter = AccumulateMeter(network, patches.gather(PIXELS[:1]))
    network(patches.gather(PIXELS))
    spiking = [row for row in measure(network, patches, PIXELS) if row.spiking]
    expected = sum(row.ac for row in spiking) / sum(row.info.mac for row in spiking)
    network(patches.gather(PIXELS))
    assert meter().item() == pytest.approx(expected, rel=1e-5)


def test_the_meter_pulls_spikes_down(patches_of):
    """Its gradient reaches weights, leaks and thresholds, and a step along it saves spikes."""
    network, patches = random_network(0, 4, (2, 1, 1)), patches_of(BANDS, WINDOW)
    meter = AccumulateMeter(network, patches.gather(PIXELS[:1]))
    network(patches.gather(PIXELS))
    before = meter()
    before.backward()
    for name, parameter in network.named_parameters():
        if name.startswith(("layers.conv1", "layers.lif")):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
            with torch.no_grad():
                parameter -= 0.3 * parameter.grad
    network(patches.gather(PIXELS))
    assert meter() < before


@pytest.mark.parametrize("name", ["cnn3d", "cnn32h", "cnn1x1", "cnn1x1h"])
def test_in_a_map_each_pixel_costs_what_its_dense_form_counts(name, patches_of):
    """Operations per pixel of a large tile approach those of a map, borders aside."""
    bands, side = 40, 33
    torch.manual_seed(0)
    cnn = build_model(ModelConfig(name=name, window=WINDOW), bands, 3)
    patches = patches_of(bands, WINDOW)
    shared = shared_between_windows(measure(cnn, patches, PIXELS))
    dense = dense_form(cnn, bands, WINDOW)
    table = layer_table(dense, torch.randn(1, 1, bands, side, side))
    pixels = (side - WINDOW + 1) ** 2
    for layer, row in zip(shared, table, strict=True):
        rows = math.prod(row.output_shape[-2:])
        assert layer.mac == pytest.approx(row.mac / rows)
        assert pixels <= rows <= side**2


def test_the_mean_magnitude_of_inputs_is_that_of_those_that_are_not_zero(patches_of):
    cnn = nn.Sequential(nn.Flatten(), nn.Linear(20, 4), nn.ReLU(), nn.Linear(4, 2))
    patches = patches_of(20, 1)
    first, last = measure(cnn, patches, PIXELS)
    pixels = patches.gather(PIXELS).abs()
    assert first.input_mean == pytest.approx((pixels[pixels > 0].mean() / pixels.max()).item())
    hidden = cnn[:3](patches.gather(PIXELS))
    assert last.input_mean == pytest.approx((hidden[hidden > 0].mean() / hidden.max()).item())
