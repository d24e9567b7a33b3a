"""Links between the filters of a layer and the input channels of the next, found by probing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn.hooks import evaluating, recording
from snnquant.nn.kinds import SYNAPSES

PROBE = 1e4
"""Value of a filter that opens every activation and makes every neuron spike; its opposite none."""


@dataclass(frozen=True)
class Link:
    """Two layers in a row: the filters of one are the input channels of the other."""

    producer: str
    """Name of the layer whose filters are removed."""
    consumer: str
    """Name of the layer that reads them."""
    filters: Tensor
    """Filter that each input channel of the consumer is made of, int64 [C]."""


def filter_links(network: nn.Module, example: Tensor) -> list[Link]:
    """Find the layer that reads the filters of each layer, except of the last.

    Each filter of a layer is driven up and down in turn while all other layers put out zeros: the
    input channels that change are made of it, whatever reshapes or pools lie between.

    Args:
        network: CNN or SNN in floating point.
        example: One input [1, ...].

    Returns:
        A link per layer except the last, in the order in which the layers run.

    Raises:
        InputError: Filters are read by several layers or by none, are summed, or belong to a layer
            that runs more than once.

    >>> network = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6, 4))
    >>> filter_links(network, torch.zeros(1, 1, 5))[0].filters
    tensor([0, 0, 0, 1, 1, 1])
    """
    order = _order(network, example)
    return [_link(network, example, order, position) for position in range(len(order) - 1)]


def _order(network: nn.Module, example: Tensor) -> dict[str, nn.Module]:
    """Return the layers with weights in the order in which they run, once each."""
    ran: list[str] = []
    synapses = {name: m for name, m in network.named_modules() if isinstance(m, SYNAPSES)}
    with evaluating(network), recording(synapses, lambda name, *_: ran.append(name)):
        network(example[:1])
    for name in ran:
        if ran.count(name) > 1:
            raise InputError(f"layer {name}: found a layer that runs twice, expected once")
    return {name: synapses[name] for name in ran}


def _link(network: nn.Module, example: Tensor, layers: dict[str, nn.Module], position: int) -> Link:
    producer = list(layers)[position]
    layer: Any = layers[producer]
    count = int(layer.weight.shape[0])
    found: dict[str, Tensor] = {}

    def probe(name: str, module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        found[name] = _changes(channels_first(module, inputs[0]), count)
        probed = torch.zeros_like(output)
        if name == producer:
            values = channels_first(module, probed)
            filters = torch.arange(count)
            values[filters, filters] = PROBE
            values[count + filters, filters] = -PROBE
        return probed

    with evaluating(network), recording(layers, probe):
        network(example[:1].expand(2 * count, *example.shape[1:]))
    readers = [name for name, changes in found.items() if changes.any()]
    if len(readers) != 1:
        raise InputError(
            f"layer {producer}: found its filters read by {len(readers)} layers, expected 1, as in "
            "a network without branches and sums"
        )
    changes = found[readers[0]]
    if bool((changes.sum(0) != 1).any()):
        raise InputError(
            f"layer {readers[0]}: found input channels that are not made of one filter each, "
            "expected a network without branches and sums"
        )
    return Link(producer, readers[0], changes.long().argmax(0))


def channels_first(layer: nn.Module, values: Tensor) -> Tensor:
    """Return a view of a layer's inputs or outputs with the channels on axis 1."""
    return values.movedim(-1, 1) if isinstance(layer, nn.Linear) else values


def _changes(values: Tensor, count: int) -> Tensor:
    """Return bool [filters, channels]: the channels that differ between the two halves."""
    steps = values.reshape(-1, 2 * count, values.shape[1], values[0, 0].numel())
    changed = (steps[:, :count] != steps[:, count:]).any(-1).any(0)
    return changed
