"""Groups of channels of a CNN that one positive factor can pass through.

With ReLUs and linear layers between, dividing the rows of a weight by s > 0 and multiplying what
reads them by s leaves the function the same. Channels that meet in a sum, or in one channel of a
reader, share a factor: they are one group.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn import evaluating
from snnquant.nn.tracing import trace
from snnquant.quantization.passes.channel_labels import ENDS, LabelReader
from snnquant.quantization.passes.layers import spikes


@dataclass(frozen=True)
class ChannelGroups:
    """Group of every output and input channel of a network's convolutions and dense layers."""

    outputs: dict[str, Tensor]
    """Groups of the output channels [K] by the layer's name, in the order in which they run."""
    inputs: dict[str, Tensor]
    """Groups of the channels that a weight [K, C, ...] reads, [G, C]; a row for K / G kernels."""
    free: Tensor
    """Groups that may have a factor other than 1, bool [groups]."""
    shifts: Tensor
    """Groups all of whose readers get a constant that is added to them unchanged, bool [groups]."""


def channel_groups(network: nn.Module, example: Tensor) -> ChannelGroups:
    """Find the groups of channels that share a positive factor.

    Args:
        network: CNN with folded batch norms, whose activations are ReLUs.
        example: Any input [N, ...] of the right shape.

    Returns:
        The groups.

    Raises:
        InputError: The network spikes, or has an operation that no positive factor passes.

    >>> cnn = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    >>> groups = channel_groups(cnn, torch.zeros(1, 1, 4, 4))
    >>> groups.outputs["0"].tolist(), groups.inputs["3"][0].tolist()
    ([1, 2], [1, 1, 1, 1, 2, 2, 2, 2])
    """
    if spikes(network):
        raise InputError(
            "equalisation: found an SNN, all channels of whose layers share one threshold, "
            "expected a CNN with ReLUs"
        )
    reader = LabelReader(network, trace(network))
    with evaluating(network):
        reader.run(example[:1])
    return _grouped(reader)


def _grouped(reader: LabelReader) -> ChannelGroups:
    roots = [reader.root(label) for label in range(len(reader.parents))]
    kept = sorted(set(roots))
    places = {root: place for place, root in enumerate(kept)}
    index = torch.tensor([places[root] for root in roots])
    members = index.bincount(minlength=len(kept))
    free = torch.arange(len(kept)) != ENDS
    shifts = free & (members == 1)
    shifts[index[list(reader.rigid)]] = False
    return ChannelGroups(
        {name: index[labels] for name, labels in reader.outputs.items()},
        {name: index[labels] for name, labels in reader.inputs.items()},
        free,
        shifts,
    )
