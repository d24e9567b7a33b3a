"""Ranges of weights: from all values, from least squared error, or from the logits' entropy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from snnquant.quantization.grids import SHRINK_STEPS, Grid, quantize_symmetric
from snnquant.quantization.passes.layers import apply, by_channel, latent, layer_inputs


@torch.no_grad()
def cross_entropy_grid(
    weight: Tensor, bits: int, logits: Callable[[Tensor], Tensor], *, per_channel: bool
) -> Grid:
    """Return the symmetric grid whose logits have the least cross-entropy with the true ones.

    One factor shrinks the ranges of all channels, since a softmax mixes them.

    Args:
        weight: Weight of the last layer [K, ...], in floating point.
        bits: Bits per weight.
        logits: Computes logits [N, K] of such a weight.
        per_channel: Scale per output channel, else one.

    >>> weight = torch.eye(3) + 0.1
    >>> inputs = torch.eye(3)
    >>> grid = cross_entropy_grid(weight, 2, lambda w: inputs @ w.T, per_channel=False)
    >>> grid.values(grid.codes(weight)).argmax(1).tolist()
    [0, 1, 2]
    """
    probabilities = logits(weight).softmax(1)
    grids = [
        quantize_symmetric(weight, bits, per_channel=per_channel, shrink=step / SHRINK_STEPS)
        for step in range(SHRINK_STEPS, 0, -1)
    ]

    def entropy(grid: Grid) -> float:
        logs = logits(grid.values(grid.codes(weight))).log_softmax(1)
        return float(-(probabilities * logs).sum(1).mean())

    return min(grids, key=entropy)


@torch.no_grad()
def logits_range(
    network: nn.Module, name: str, bits: int, inputs: Tensor, *, per_channel: bool
) -> Grid:
    """Return the grid of a network's last layer by `cross_entropy_grid` on its actual inputs.

    Args:
        network: CNN or SNN, quantized up to that layer.
        name: Name of the last layer.
        bits: Bits per weight.
        inputs: Calibration inputs [N, ...].
        per_channel: Scale per output channel, else one.
    """
    layer = network.get_submodule(name)
    given = torch.cat(list(layer_inputs(network, name, inputs)))
    bias = layer.bias if isinstance(layer.bias, Tensor) else None

    def logits(weight: Tensor) -> Tensor:
        return by_channel(layer, apply(layer, given, weight, bias)).T

    return cross_entropy_grid(latent(layer), bits, logits, per_channel=per_channel)
