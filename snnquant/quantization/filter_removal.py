"""Provable filter pruning: one error for all layers, bisected to a share of the weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn.hooks import evaluating, recording
from snnquant.nn.kinds import SYNAPSES
from snnquant.quantization.channel_links import Link, filter_links
from snnquant.quantization.channel_sampling import (
    ChannelLaw,
    channel_sensitivities,
    choose,
    kept_groups,
)

CHUNK = 64
"""Inputs whose sensitivities are computed at once."""
LOG_ERRORS = (-8.0, 40.0)
"""Range of the logarithm of the error; at its ends every filter and only one per layer is kept."""
BISECTIONS = 60
"""Halvings of that range."""


def prune_filters(
    network: nn.Module,
    inputs: Tensor,
    *,
    keep: float,
    kind: str = "hybrid",
    failure: float = 1e-16,
    seed: int = 0,
) -> dict[str, float]:
    """Remove filters of a trained network in place: their weights and biases become zeros.

    Removing input channel j of a layer removes filter j of the layer before. On an SNN a channel's
    value is its mean over the time steps. The sensitivities of all layers decide on the numbers of
    filters; which ones stay is decided layer by layer, on the network that is pruned so far.

    Args:
        network: CNN or SNN in floating point without branches and sums.
        inputs: Training inputs [N, ...] whose sensitivities count.
        keep: Share of the network's weights that is kept, above 0 to 1.
        kind: Choice of the filters: random, deterministic or hybrid.
        failure: Probability that an output breaks its bound.
        seed: Seed of the samples.

    Returns:
        Bound on the relative error of each layer's outputs, on each part of one sign, by name.

    Raises:
        InputError: The network has no chain of filters, or one filter per layer exceeds the share.

    >>> _ = torch.manual_seed(0)
    >>> network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> list(prune_filters(network, torch.rand(32, 8), keep=0.5, kind="deterministic"))
    ['2']
    >>> int(network[2].weight.any(0).sum()), int(network[0].weight.any(1).sum())
    (8, 8)
    """
    links = filter_links(network, inputs[:1])
    if keep == 1:
        return dict.fromkeys((link.consumer for link in links), 0.0)
    laws = _laws(network, inputs, links, failure)
    error = _bisect(network, links, laws, keep)
    generator = np.random.default_rng(seed)
    bounds = {}
    for link, planned in zip(links, laws, strict=True):
        # Filters that the removal of earlier ones silenced must not be among those that stay.
        (law,) = _laws(network, inputs, [link], failure)
        choice = choose(law, kept_groups(planned, error), kind, generator)
        _remove(network, link, choice.factors)
        bounds[link.consumer] = choice.error
    return bounds


def mean_over_steps(inputs: Tensor, samples: int) -> Tensor:
    """Return the mean over time steps that are folded into the batch, [T N, ...] to [N, ...]."""
    return inputs.reshape(-1, samples, *inputs.shape[1:]).mean(0)


def _laws(
    network: nn.Module, inputs: Tensor, links: list[Link], failure: float
) -> list[ChannelLaw]:
    """Measure the sensitivities of every link's filters."""
    sizes = {link.consumer: _filters(network, link.producer) for link in links}
    found = {name: inputs.new_zeros(size) for name, size in sizes.items()}
    filters = {link.consumer: link.filters.to(inputs.device) for link in links}
    places = dict.fromkeys(sizes, 1)
    chunk: Tensor

    def note(name: str, layer: Any, given: tuple[Tensor, ...], output: Tensor) -> None:
        values = mean_over_steps(given[0], len(chunk))
        if isinstance(layer, nn.Linear):
            values = values.flatten(0, -2)
        places[name] = output[0].numel() // layer.weight.shape[0]
        seen = channel_sensitivities(layer, values, filters[name], sizes[name])
        found[name] = torch.maximum(found[name], seen)

    consumers = {name: network.get_submodule(name) for name in sizes}
    with evaluating(network), recording(consumers, note):
        for chunk in torch.split(inputs, CHUNK):
            network(chunk)
    return [
        ChannelLaw(found[name], places[name], _kernel(layer), failure)
        for name, layer in consumers.items()
    ]


def _bisect(network: nn.Module, links: list[Link], laws: list[ChannelLaw], keep: float) -> float:
    """Return the smallest error for which at most the share `keep` of the weights is left."""
    full = _size(network, links, [len(law.sensitivities) for law in laws])

    def share(error: float) -> float:
        return _size(network, links, [kept_groups(law, error) for law in laws]) / full

    low, high = LOG_ERRORS
    if share(math.exp(high)) > keep:
        smallest = share(math.exp(high))
        raise InputError(
            f"keep: found {keep}, expected at least {smallest:.2g}, one filter per layer"
        )
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if share(math.exp(middle)) > keep else (low, middle)
    return math.exp(high)


def _size(network: nn.Module, links: list[Link], kept: list[int]) -> float:
    """Count the weights that are left where each link keeps a number of filters."""
    outputs = {link.producer: n for link, n in zip(links, kept, strict=True)}
    shares = {
        link.consumer: n / _filters(network, link.producer)
        for link, n in zip(links, kept, strict=True)
    }
    total = 0.0
    for name, layer in network.named_modules():
        if isinstance(layer, SYNAPSES):
            filters, *rest = layer.weight.shape
            total += outputs.get(name, filters) * math.prod(rest) * shares.get(name, 1.0)
    return total


def _filters(network: nn.Module, name: str) -> int:
    layer: Any = network.get_submodule(name)
    return int(layer.weight.shape[0])


def _kernel(layer: Any) -> int:
    return int(layer.weight[0, 0].numel())


@torch.no_grad()
def _remove(network: nn.Module, link: Link, factors: Tensor) -> None:
    """Multiply the consumer's channels by the factors and clear the removed filters."""
    consumer: Any = network.get_submodule(link.consumer)
    producer: Any = network.get_submodule(link.producer)
    groups = getattr(consumer, "groups", 1)
    columns = factors[link.filters.to(factors.device)].view(groups, 1, -1)
    filters, channels, *kernel = consumer.weight.shape
    rows = columns.expand(groups, filters // groups, channels).reshape(filters, channels)
    consumer.weight.mul_(rows.view(filters, channels, *(1 for _ in kernel)))
    producer.weight[factors == 0] = 0
    if producer.bias is not None:
        producer.bias[factors == 0] = 0
