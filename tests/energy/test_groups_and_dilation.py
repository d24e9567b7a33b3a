"""Grouped, depthwise, dilated and one-dimensional layers from torch to their price."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pim_sim import load_hardware, simulate
from snnquant.config import NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.energy import measure, to_workload

STEPS, BANDS = 3, 16
Plane = nn.Flatten(1, 2)
FIRST = {
    "depthwise": (nn.Conv2d(16, 16, 3, groups=16), 1_296),  # 9 positions, 16 filters, 9 products
    "two groups": (nn.Conv2d(16, 8, 3, groups=2), 9 * 8 * 72),
    "dilated": (nn.Conv2d(16, 8, 3, dilation=2, padding=2), 28_800),  # 25 positions, 8 x 144
    "dilated, same": (nn.Conv2d(16, 8, 3, dilation=2, padding="same"), 28_800),
    "even, same": (nn.Conv2d(16, 8, 2, padding="same"), 25 * 8 * 64),
    "reflected": (nn.Conv2d(16, 8, 3, padding=1, padding_mode="reflect"), 25 * 8 * 144),
}


def _network(first: nn.Module, second: nn.Module) -> nn.Sequential:
    layers = [nn.Flatten(1, 2), first, nn.ReLU(), second, nn.ReLU(), nn.Flatten()]
    with torch.no_grad():
        features = nn.Sequential(*layers)(torch.zeros(1, 1, BANDS, 5, 5)).shape[1]
    return nn.Sequential(*layers, nn.Linear(features, 3)).eval()


@pytest.mark.parametrize("name", FIRST)
def test_both_programs_count_the_products_on_paper(name, patches_of):
    torch.manual_seed(0)
    first, products = FIRST[name]
    patches, pixels = patches_of(BANDS, 5), torch.arange(4)
    cnn = _network(first, nn.Conv2d(first.out_channels, 4, 1))
    snn = to_spiking(cnn, patches.gather(pixels), NeuronConfig(time_steps=STEPS)).eval()
    with torch.no_grad():
        assert snn(patches.gather(pixels)).shape == (4, 3)
    activity = measure(snn, patches, pixels)
    assert activity[0].mac == products
    workload = to_workload(name, activity, QuantizationConfig(), STEPS)
    assert workload.layers[0].macs == products
    for layer, row in zip(workload.layers, activity, strict=True):
        assert layer.output_shape == row.info.output_shape
        assert layer.macs == row.info.mac
    for hardware in ("sram_65nm", "charge_28nm"):
        assert simulate(workload, load_hardware(hardware)).in_memory.total.energy_pj > 0


@pytest.mark.parametrize("name", [name for name in FIRST if name != "reflected"])
def test_accumulates_are_the_outputs_that_a_spike_changes(name, patches_of):
    """Each spike counts once for every output that changes when it alone is sent.

    A reflected spike may reach an output twice, which is two accumulates.
    """
    torch.manual_seed(0)
    second, _ = FIRST[name]
    patches, pixels = patches_of(BANDS, 5), torch.arange(6)
    cnn = _network(nn.Conv2d(BANDS, 16, 1), second)
    snn = to_spiking(cnn, patches.gather(pixels), NeuronConfig(time_steps=STEPS)).eval()
    received: list[Tensor] = []
    layer = snn.get_submodule("layers.3")
    with torch.no_grad():
        for neuron in snn.layers.children():
            if hasattr(neuron, "threshold"):
                neuron.threshold.fill_(0.2)
        handle = layer.register_forward_hook(lambda _, inputs, __: received.append(inputs[0]))
        snn(patches.gather(pixels))
        handle.remove()
        spikes = received[0]
        assert spikes.any()
        zero = layer(torch.zeros_like(spikes[:1]))
        reached = 0
        for sample in spikes:
            for place in sample.nonzero():
                alone = torch.zeros_like(spikes[:1])
                alone[(0, *place)] = 1
                reached += int((layer(alone) != zero).sum())
    row = next(r for r in measure(snn, patches, pixels) if r.info.name == "layers.3")
    assert row.ac == pytest.approx(reached / len(pixels))


def test_a_line_of_two_groups(patches_of):
    torch.manual_seed(0)
    line = nn.Conv1d(4, 6, 3, stride=2, dilation=2, groups=2)  # 12 values: 4 positions
    layers = [nn.Flatten(2), nn.Conv1d(1, 4, 5), nn.ReLU(), line, nn.ReLU(), nn.Flatten()]
    cnn = nn.Sequential(*layers, nn.Linear(24, 3)).eval()
    patches, pixels = patches_of(BANDS, 1), torch.arange(4)
    snn = to_spiking(cnn, patches.gather(pixels), NeuronConfig(time_steps=STEPS)).eval()
    activity = measure(snn, patches, pixels)
    layers = to_workload("line", activity, QuantizationConfig(), STEPS).layers
    assert [layer.kind for layer in layers] == ["conv1d", "conv1d", "linear"]
    assert [layer.macs for layer in layers] == [4 * 12 * 5, 6 * 4 * 6, 72]
    assert [layer.macs for layer in layers] == [row.info.mac for row in activity]
