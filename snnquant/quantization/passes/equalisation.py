"""Cross-layer equalisation: output channels rescaled until two layers share a weight's range.

Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snnquant.quantization.passes.channel_groups import ChannelGroups, channel_groups
from snnquant.quantization.passes.layers import output_moments

SWEEPS, CLOSE = 200, 1e-7
DEVIATIONS = 3
"""Standard deviations below its mean up to which a channel's values count as positive."""


@torch.no_grad()
def equalise(network: nn.Module, example: Tensor) -> None:
    """Rescale the channels between layers, in place, until both sides have the same range.

    With r1 = max|W1[i]| and r2 = max|W2[:, i]|, W1[i] and b1[i] are divided and W2[:, i] is
    multiplied by s = sqrt(r1 / r2), over and over until nothing changes. Of layers around a
    depthwise one this ends at the closed form r1 / cbrt(r1 r2 r3) and cbrt(r1 r2 r3) / r3. Channels
    that meet in a sum share one s for all their readers.

    Args:
        network: CNN in floating point, with folded batch norms and ReLUs.
        example: Any input [N, ...] of the right shape.

    Raises:
        InputError: The network spikes, or has an operation that no positive factor passes.

    >>> cnn = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    >>> equalise(cnn, torch.zeros(1, 4))
    >>> torch.allclose(cnn[0].weight.abs().amax(1), cnn[2].weight.abs().amax(0))
    True
    """
    groups = channel_groups(network, example)
    layers: dict[str, Any] = {name: network.get_submodule(name) for name in groups.outputs}
    ranges = {name: _Ranges(layer, groups, name) for name, layer in layers.items()}
    total = torch.ones(len(groups.free), dtype=torch.float64)
    for _ in range(SWEEPS):
        before = total.clone()
        for name in layers:
            total *= _equalise_after(groups.outputs[name], groups.free, ranges)
        if (total / before).log().abs().max() < CLOSE:
            break
    for name, layer in layers.items():
        divisors, factors = total[groups.outputs[name]], total[groups.inputs[name]]
        kernels = layer.weight.view(len(factors), -1, factors.shape[1], layer.weight[0, 0].numel())
        kernels.mul_(factors[:, None, :, None].to(kernels))
        layer.weight.div_(divisors.view(-1, *[1] * (layer.weight.ndim - 1)).to(kernels))
        if layer.bias is not None:
            layer.bias.div_(divisors.to(layer.bias))


class _Ranges:
    """Largest weights [K, R] of a layer's kernels over the R groups that it reads."""

    def __init__(self, layer: Any, groups: ChannelGroups, name: str) -> None:
        largest = _kernels(layer).abs().amax(2)
        self.read, places = groups.inputs[name].unique(return_inverse=True)  # type: ignore[no-untyped-call]
        self.written = groups.outputs[name]
        places = places.repeat_interleave(len(largest) // len(places), 0)
        empty = torch.zeros(len(largest), len(self.read), dtype=torch.float64)
        self.sizes = empty.scatter_reduce_(1, places, largest, "amax")


def _equalise_after(written: Tensor, free: Tensor, ranges: dict[str, _Ranges]) -> Tensor:
    """Rescale the ranges for the outputs of one layer; return the factor of each group."""
    rows, columns = torch.zeros(2, len(free), dtype=torch.float64)
    for layer in ranges.values():
        rows.scatter_reduce_(0, layer.written, layer.sizes.amax(1), "amax")
        columns.scatter_reduce_(0, layer.read, layer.sizes.amax(0), "amax")
    mine = torch.zeros_like(free).index_fill_(0, written, True) & free
    factors = torch.where(mine & (rows > 0) & (columns > 0), (rows / columns).sqrt(), 1.0)
    for layer in ranges.values():
        layer.sizes *= factors[layer.read] / factors[layer.written][:, None]
    return factors


@torch.no_grad()
def absorb_biases(network: nn.Module, inputs: Tensor) -> None:
    """Move what never falls below zero from a layer's bias into those of its readers, in place.

    c = max(0, mean - 3 deviations) of a channel's values before the ReLU, which in a network that
    was trained with batch norms are their beta and |gamma|; here both are measured, since the norms
    are folded. Then b1 -= c and b2 += W2 c. Channels whose readers pad them with zeros, whose
    values are summed with others, or that meet a layer without bias keep theirs.

    Args:
        network: CNN in floating point, with folded batch norms and ReLUs.
        inputs: Calibration inputs [N, ...].

    Raises:
        InputError: As `equalise`.

    >>> cnn = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    >>> inputs = torch.rand(64, 4)
    >>> _ = nn.init.constant_(cnn[0].bias, 9.0)
    >>> before = cnn(inputs)
    >>> absorb_biases(cnn, inputs)
    >>> bool(cnn[0].bias.max() < 3), bool(torch.allclose(cnn(inputs), before, atol=1e-5))
    (True, True)
    """
    groups = channel_groups(network, inputs)
    layers: dict[str, Any] = {name: network.get_submodule(name) for name in groups.outputs}
    surplus = {}
    for name, (mean, deviation) in output_moments(network, layers, inputs).items():
        least = (mean - DEVIATIONS * deviation).clamp(min=0)
        surplus[name] = least.where(groups.shifts[groups.outputs[name]], 0)
    constant = torch.zeros(len(groups.free), dtype=torch.float64)
    for name, values in surplus.items():
        constant.index_add_(0, groups.outputs[name], values)
    for name, layer in layers.items():
        if layer.bias is not None:
            read = constant[groups.inputs[name]]
            sums = _kernels(layer).sum(2).view(len(read), -1, read.shape[1])
            gained = (sums * read[:, None]).sum(2).flatten()
            layer.bias.add_((gained - surplus[name]).to(layer.bias))


def _kernels(layer: Any) -> Tensor:
    """Return a weight as [K, C, values of a kernel], in float64 on the CPU."""
    weight: Tensor = layer.weight.double().cpu()
    return weight.view(*weight.shape[:2], -1)
