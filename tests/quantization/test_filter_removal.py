"""Removal of filters from whole networks: links between layers, the share kept, the bound."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import convert
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn import INPUT, Graph
from snnquant.nn.hooks import evaluating, recording
from snnquant.nn.kinds import SYNAPSES
from snnquant.nn.wiring import Sum
from snnquant.quantization.channel_links import filter_links
from snnquant.quantization.channel_sampling import channel_sensitivities
from snnquant.quantization.filter_removal import mean_over_steps, prune_filters
from snnquant.spiking import SpikingNetwork

NETWORKS = ("cnn3d", "cnn32h", "cnn1x1", "cnn1x1h")


def patches(count: int = 24, bands: int = 40) -> Tensor:
    return torch.rand(count, 1, bands, 5, 5, generator=torch.Generator().manual_seed(0))


def cnn(name: str = "cnn32h", seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    convolutions = 2 if name == "cnn1x1" else 3 if name == "cnn1x1h" else 4
    config = ModelConfig(name=name, widths=(12, 16, 20, 24)[:convolutions])
    return build_model(config, bands=40, classes=5).eval()


def snn() -> SpikingNetwork:
    x = patches()
    return convert(cnn(), x[:1], x, neuron=NeuronConfig(time_steps=4))[0]


def synapses(network: nn.Module) -> dict[str, Any]:
    return {name: m for name, m in network.named_modules() if isinstance(m, SYNAPSES)}


@pytest.mark.parametrize("name", NETWORKS)
def test_links_lead_from_each_layer_to_the_next(name: str) -> None:
    network = cnn(name)
    links = filter_links(network, patches(1))
    names = list(synapses(network))
    assert [(link.producer, link.consumer) for link in links] == list(pairwise(names))
    for link in links:
        filters = network.get_submodule(link.producer).weight.shape[0]
        channels = network.get_submodule(link.consumer).weight.shape[1]
        expected = torch.arange(filters).repeat_interleave(channels // filters)
        assert torch.equal(link.filters, expected)


def test_links_of_an_snn_are_those_of_its_cnn() -> None:
    for of_cnn, of_snn in zip(
        filter_links(cnn(), patches(1)), filter_links(snn(), patches(1)), strict=True
    ):
        assert of_snn.producer == f"layers.{of_cnn.producer}"
        assert torch.equal(of_snn.filters, of_cnn.filters)


@pytest.mark.parametrize("kind", ["random", "deterministic", "hybrid"])
@pytest.mark.parametrize("keep", [0.25, 0.6])
@pytest.mark.parametrize("make", [cnn, snn], ids=["cnn", "snn"])
def test_the_wanted_share_of_weights_is_left(kind: str, keep: float, make: Any) -> None:
    network = make()
    full = sum(layer.weight.numel() for layer in synapses(network).values())
    bounds = prune_filters(network, patches(), keep=keep, kind=kind)
    layers = synapses(network)
    left = sum(int((layer.weight != 0).sum()) for layer in layers.values())
    assert list(bounds) == list(layers)[1:]
    # Whole filters leave in all layers at once; draws keep the expected number only on average.
    slack = 0.0 if kind == "deterministic" else 0.15
    assert keep - 0.1 - slack <= left / full <= keep + slack
    assert torch.isfinite(network(patches())).all()


def test_removed_filters_can_be_cut_out_of_the_network() -> None:
    network = cnn()
    prune_filters(network, patches(), keep=0.4, kind="random", seed=3)
    expected = network(patches())
    for link in filter_links(cnn(), patches(1)):
        producer, consumer = (synapses(network)[n] for n in (link.producer, link.consumer))
        kept = producer.weight.flatten(1).any(1)
        assert link.producer == "conv1" or not kept.all()
        assert not consumer.weight[:, ~kept[link.filters]].any()
        producer.weight = nn.Parameter(producer.weight[kept])
        producer.bias = nn.Parameter(producer.bias[kept])
        consumer.weight = nn.Parameter(consumer.weight[:, kept[link.filters]])
    torch.testing.assert_close(network(patches()), expected, rtol=1e-4, atol=1e-5)


def test_everything_is_kept_where_all_is_wanted() -> None:
    network = cnn()
    expected = network(patches())
    bounds = prune_filters(network, patches(), keep=1.0)
    assert set(bounds.values()) == {0.0}
    assert torch.equal(network(patches()), expected)


def test_one_layers_outputs_stay_within_the_bound() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 60), nn.ReLU(), nn.Linear(60, 5)).double()
    x = torch.randn(500, 6).double()
    pruned = copy.deepcopy(network)
    bounds = prune_filters(pruned, x, keep=0.9, kind="deterministic")
    weight, hidden = network[2].weight.detach(), network[:2](x).detach()
    for part in (weight.clamp(min=0), (-weight).clamp(min=0)):
        kept = part * (pruned[2].weight != 0)
        error = ((hidden @ kept.T - hidden @ part.T).abs() / (hidden @ part.T)).max()
        assert 0 < float(error) <= bounds["2"] < 1


def test_channels_of_a_group_leave_the_filters_of_their_group() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv1d(1, 8, 3), nn.ReLU(), nn.Conv1d(8, 12, 3, groups=4), nn.ReLU(), nn.Conv1d(12, 2, 1)
    )
    expected = copy.deepcopy(network)
    x = torch.rand(16, 1, 12)
    prune_filters(network, x, keep=0.5, kind="deterministic")
    removed = ~network[0].weight.flatten(1).any(1)
    assert 0 < int(removed.sum()) < 8
    # The same filters, silenced in front of the intact layer, give the same sums.
    hidden = expected[:2](x) * ~removed[:, None]
    left = network[2].weight.flatten(1).any(1)
    same = expected[2](hidden)[:, left]
    torch.testing.assert_close(network[2](network[:2](x))[:, left], same)


def test_the_share_of_a_channel_that_makes_an_output_by_itself_is_one() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(5, 5, 3, groups=5)
    found = channel_sensitivities(layer, torch.rand(4, 5, 6, 6), torch.arange(5), 5)
    torch.testing.assert_close(found, torch.ones(5))


def test_the_same_seed_removes_the_same_filters() -> None:
    networks = []
    for seed in (1, 1, 2):
        networks.append(cnn())
        prune_filters(networks[-1], patches(), keep=0.4, kind="random", seed=seed)
    first, same, other = (network(patches()) for network in networks)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def residual() -> nn.Module:
    layers = {
        "one": nn.Conv1d(1, 4, 3, padding=1),
        "relu": nn.ReLU(),
        "two": nn.Conv1d(4, 4, 3, padding=1),
        "sum": Sum([1.0, 1.0]),
        "flatten": nn.Flatten(),
        "last": nn.Linear(40, 3),
    }
    return Graph(layers, {"one": [INPUT], "sum": ["two", "relu"]})


@pytest.mark.parametrize(
    ("network", "x", "words"),
    [
        (residual(), torch.rand(4, 1, 10), "layers.one: found its filters read by 2 layers"),
        (
            nn.Sequential(*[nn.Linear(4, 4)] * 2, nn.Linear(4, 2)),
            torch.rand(4, 4),
            "layer 0: found a layer that runs twice",
        ),
        (
            nn.Sequential(nn.Conv1d(1, 4, 3), nn.AdaptiveAvgPool1d(1), nn.Softmax(1), nn.Flatten()),
            torch.rand(4, 1, 10),
            "",
        ),
        (
            nn.Sequential(nn.Linear(4, 4), nn.Softmax(1), nn.Linear(4, 2)),
            torch.rand(4, 4),
            "layer 2: found input channels that are not made of one filter each",
        ),
    ],
    ids=["residual", "twice", "single", "mixed"],
)
def test_networks_without_a_chain_of_filters_are_refused(
    network: nn.Module, x: Tensor, words: str
) -> None:
    if words:
        with pytest.raises(InputError, match=words):
            prune_filters(network, x, keep=0.5)
    else:
        assert prune_filters(network, x, keep=1.0) == {}


def test_a_share_below_one_filter_per_layer_is_refused() -> None:
    with pytest.raises(InputError, match=r"^keep: found 1e-05, expected at least 0\.0"):
        prune_filters(cnn(), patches(), keep=1e-5)


def test_a_channel_of_an_snn_counts_with_its_mean_spikes() -> None:
    network: Any = snn()
    seen: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[name] = output if name == "lif1" else inputs[0]

    layers = {"lif1": network.layers.lif1, "conv2": network.layers.conv2}
    with evaluating(network), recording(layers, note):
        network(patches(6))
    assert seen["lif1"].shape[:2] == (4, 6)
    assert seen["lif1"].any()
    torch.testing.assert_close(mean_over_steps(seen["conv2"], 6), seen["lif1"].mean(0))
