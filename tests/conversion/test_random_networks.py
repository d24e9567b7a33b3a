"""Random small CNNs: the SNN against a bound from theory and against a plain loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from snnquant.config import ConversionConfig, NeuronConfig
from snnquant.conversion import convert
from snnquant.conversion.reference import ReferenceCNN, ceiling
from snnquant.conversion.rewriting import rewrite
from snnquant.conversion.thresholds import set_thresholds
from snnquant.nn import INPUT
from snnquant.nn.kinds import ACTIVATIONS, MAX_POOLS, SYNAPSES
from snnquant.nn.wiring import Sum
from snnquant.spiking import LIF, SpikingNetwork

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}


class Block(nn.Module):
    """Convolution, batch norm, ReLU in one of its forms, and layers that may surround them."""

    def __init__(self, axes: int, channels: int, spec: dict[str, object]) -> None:
        super().__init__()
        self.axes, self.spec = axes, spec
        kernel = spec["kernel"]
        shaped = spec["around"] in ("residual", "cat")
        self.conv = CONVOLUTIONS[axes](
            channels,
            channels,
            kernel,
            1 if shaped else spec["stride"],
            kernel // 2,
            groups=channels if spec["grouped"] else 1,
            bias=spec["bias"],
        )
        self.norm = NORMS[axes](channels) if spec["norm"] else nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        self.pool = MAX[axes](2, 1, padding=1)
        self.mix = CONVOLUTIONS[axes](2 * channels, channels, 1)

    def rectify(self, x: Tensor) -> Tensor:
        forms = {
            "module": self.relu,
            "function": functional.relu,
            "method": lambda x: x.relu(),
            "clamp": lambda x: torch.clamp(x, min=0),
            "relu6": functional.relu6,
            "clipped": lambda x: x.clamp(0, 0.5),
        }
        return forms[self.spec["relu"]](x)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        around = self.spec["around"]
        if around == "residual":
            return self.rectify(y + x)
        if around == "cat":
            return self.rectify(self.mix(torch.cat([self.rectify(y), x], 1)))
        y = self.rectify(y)
        if around == "max pool":
            return self.pool(y)
        if around == "average pool":
            return AVERAGE[self.axes](y, 2, 1, 1)
        if around == "rectified twice":
            return self.rectify(AVERAGE[self.axes](y, 2, 1, 1))
        if around == "norm after":
            return self.norm(y)
        return y


class RandomNetwork(nn.Module):
    def __init__(self, axes: int, blocks: list[dict[str, object]], head: str) -> None:
        super().__init__()
        self.head, self.axes = head, axes
        self.stem = CONVOLUTIONS[axes](1, 2, 1)
        self.blocks = nn.ModuleList(Block(axes, 2, spec) for spec in blocks)
        with torch.no_grad():
            size = self.eval().features(torch.zeros(1, 1, *[4] * axes)).shape[1]
        self.classifier = nn.Linear(size, 3)

    def features(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        for block in self.blocks:
            x = block(x)
        if self.head == "mean":
            return x.mean(tuple(range(2, 2 + self.axes)))
        if self.head == "last first":
            return x.transpose(1, -1).flatten(1)
        return x.view(x.size(0), -1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


BLOCKS = st.fixed_dictionaries(
    {
        "kernel": st.sampled_from([1, 3]),
        "stride": st.sampled_from([1, 2]),
        "grouped": st.booleans(),
        "bias": st.booleans(),
        "norm": st.booleans(),
        "relu": st.sampled_from(["module", "function", "method", "clamp", "relu6", "clipped"]),
        "around": st.sampled_from(
            [
                "nothing",
                "residual",
                "cat",
                "max pool",
                "average pool",
                "rectified twice",
                "norm after",
            ]
        ),
    }
)
AVERAGES = ("average pool", "rectified twice")
"""Forms with an average pooling."""
SIDE = 4
"""Positions along every axis of the input."""


def pools_fit(blocks: list[dict[str, object]]) -> bool:
    """Check that torch takes every average pooling: it needs two positions without padding."""
    side = SIDE
    for spec in blocks:
        if spec["stride"] == 2 and spec["around"] not in ("residual", "cat"):
            side = (side + 1) // 2
        if spec["around"] in AVERAGES and side < 2:
            return False
        side += spec["around"] in ("max pool", *AVERAGES)
    return True


NETWORKS = {
    "axes": st.integers(1, 3),
    "blocks": st.lists(BLOCKS, max_size=3).filter(pools_fit),
    "head": st.sampled_from(["mean", "view", "last first"]),
    "seed": st.integers(0, 2**32),
}


def build(
    axes: int, blocks: list[dict[str, object]], head: str, seed: int
) -> tuple[nn.Module, Tensor]:
    """Build a network in float64 with random statistics in its batch norms, and inputs for it."""
    torch.manual_seed(seed)
    network = RandomNetwork(axes, blocks, head).double().eval()
    for module in network.modules():
        if isinstance(module, tuple(NORMS.values())):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, 0, 0.3)
    return network, torch.randn(6, 1, *[SIDE] * axes).double()


def error_bound(reference: ReferenceCNN, thresholds: dict[str, float]) -> float:
    r"""Compute c of the bound |mean output - CNN's| <= c / T, by induction over the graph.

    Let a value's sum over t steps stay within D of t times its CNN's value at every t. Then for an
    integrate-and-fire neuron that starts at V/2 the largest sum of currents so far stays within D
    of t times the positive part, the count of spikes is that by V rounded (and at most one per
    step, as clipping at V has it), and V times the count stays within D + V. A synapse passes D on
    times the absolute weights of an output; a maximum of counts, a mean and a change of shape pass
    it on as it is.
    """
    bounds = {INPUT: 0.0}
    for name, layer in reference.layers.named_children():
        inputs = [bounds[source] for source in reference.inputs[name]]
        if isinstance(layer, ACTIVATIONS):
            bounds[name] = inputs[0] + thresholds[name]
        elif isinstance(layer, SYNAPSES):
            bounds[name] = inputs[0] * float(layer.weight.abs().flatten(1).sum(1).max())
        elif isinstance(layer, Sum):
            weights = layer.weights
            bounds[name] = sum(abs(w) * d for w, d in zip(weights, inputs, strict=True))
        else:
            bounds[name] = max(inputs)
    return bounds[name]


@pytest.mark.slow
@given(**NETWORKS, reset=st.sampled_from(["delayed", "same_step"]))
@example(axes=1, blocks=[], head="mean", seed=0, reset="delayed")
@settings(deadline=None, max_examples=30)
@torch.no_grad()
def test_the_mean_output_converges_as_one_over_the_time_steps(axes, blocks, head, seed, reset):
    """Leak 1, soft reset, thresholds at the largest pre-activations: error <= c / T at every T."""
    network, x = build(axes, blocks, head, seed)
    expected = network(x)
    reference, _ = rewrite(network, x)
    for steps in (1, 9, 200):
        neuron = NeuronConfig(time_steps=steps, reset=reset)
        maximum = ConversionConfig(calibration="maximum")
        snn, report = convert(network, x[:1], x, neuron=neuron, conversion=maximum)
        bound = error_bound(reference, dict(zip(report.layers, report.thresholds, strict=True)))
        error = float((snn(x) - expected).abs().max())
        assert error <= bound / steps * (1 + 1e-6) + 1e-6  # thresholds are set in float32


@given(**NETWORKS, threshold=st.floats(0.05, 1))
@settings(deadline=None, max_examples=25)
@torch.no_grad()
def test_low_thresholds_clip_as_the_cnn_clipped_there(axes, blocks, head, seed, threshold):
    """Whatever the thresholds, the SNN converges to the CNN whose ReLUs clip at them."""
    network, x = build(axes, blocks, head, seed)
    reference, _ = rewrite(network, x)
    thresholds = {
        name: min(threshold * (1 + i % 3), ceiling(layer))
        for i, (name, layer) in enumerate(reference.activations().items())
    }
    snn = reference.spiking(NeuronConfig(time_steps=300))
    set_thresholds(snn, reference, thresholds)
    for name, limit in thresholds.items():
        setattr(reference.layers, name, nn.Hardtanh(0, limit))
    error = float((snn(x) - reference(x)).abs().max())
    assert error <= error_bound(reference, thresholds) / 300 * (1 + 1e-6) + 1e-6


def plain_loop(snn: SpikingNetwork, x: Tensor) -> Tensor:
    """Run every layer at every step, one after another, with the neuron's equations written out."""
    potentials: dict[str, Tensor] = {}
    spikes: dict[str, Tensor] = {}
    sums: dict[str, Tensor] = {}
    peaks: dict[str, Tensor] = {}
    total = torch.zeros(())
    for _ in range(snn.time_steps):
        values = {INPUT: x}
        for name, layer in snn.layers.named_children():
            inputs = [values[source] for source in snn.inputs[name]]
            if isinstance(layer, LIF):
                v = layer.threshold
                u = potentials.get(name, torch.full_like(inputs[0], layer.initial) * v)
                u = layer.leak * u + inputs[0] - v * spikes.get(name, 0.0)
                potentials[name], spikes[name] = u, (u > v).to(x.dtype)
                values[name] = spikes[name]
            elif isinstance(layer, MAX_POOLS):
                sums[name] = sums.get(name, 0.0) + inputs[0]
                peak = layer(sums[name])
                values[name] = peak - peaks.get(name, 0.0)
                peaks[name] = peak
            else:
                values[name] = layer(*inputs)
        total = total + values[name]
    return total / snn.time_steps


@given(**NETWORKS, steps=st.integers(1, 6), leak=st.sampled_from([0.8, 1.0]))
@settings(deadline=None, max_examples=30)
@torch.no_grad()
def test_the_graph_runs_as_a_plain_loop_over_time(axes, blocks, head, seed, steps, leak):
    network, x = build(axes, blocks, head, seed)
    snn, _ = convert(network, x[:1], x, neuron=NeuronConfig(time_steps=steps))
    for layer in snn.layers:
        if isinstance(layer, LIF):
            layer.leak.fill_(leak)
    torch.testing.assert_close(snn(x), plain_loop(snn, x), rtol=1e-9, atol=1e-9)
    assert snn(x).abs().max() > 0


@given(**NETWORKS)
@settings(deadline=None, max_examples=30)
@torch.no_grad()
def test_the_graph_is_the_same_function_with_every_norm_folded(axes, blocks, head, seed):
    network, x = build(axes, blocks, head, seed)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    reference, matches = rewrite(network, x)
    expected = network(x)
    torch.testing.assert_close(
        reference(x), expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max())
    )
    assert not any(isinstance(layer, tuple(NORMS.values())) for layer in reference.layers)
    layers = [match.layer for match in matches if match.action in ("matched", "replaced")]
    assert layers == [name for name, _ in reference.layers.named_children()]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
