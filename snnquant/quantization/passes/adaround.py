"""AdaRound: the direction of every rounding, found from a layer's output.

Nagel et al., Up or Down? Adaptive Rounding for Post-Training Quantization, ICML 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.quantization.grids import Grid
from snnquant.quantization.passes.layers import (
    apply,
    by_channel,
    floating,
    latent,
    layer_inputs,
    spikes,
    synapses_in_order,
)

STRETCH, SHIFT = 1.2, 0.1
"""Sigmoid that h = clip(1.2 sigmoid(v) - 0.1, 0, 1) is made of: it reaches 0 and 1."""
BATCH, RATE = 32, 1e-2
PULL, QUIET, SHARP, SOFT = 0.01, 0.2, 20.0, 2.0
"""Weight of the pull to 0 and 1, share of the iterations without it, its first and last power."""
ROWS = 2048
"""Largest number of a layer's inputs that are kept."""


def round_adaptively(network: nn.Module, inputs: Tensor, iterations: int) -> None:
    """Round every weight up or down so that its layer's output stays close, in place.

    Layer by layer, W = s clip(floor(W / s) + h) with an h per weight minimises the squared error of
    relu(W x') against the network in floating point, relu(W x): x' comes through the quantized
    layers before, and the ReLU counts where one is right after. In an SNN both take x': spikes at a
    step have no counterpart in the other network. The rounded values become the latent weights, so
    that code = round(w / s) from then on.

    Args:
        network: CNN or SNN whose weights are on fixed grids.
        inputs: Calibration inputs [N, ...].
        iterations: Steps of Adam per layer.

    Raises:
        InputError: A layer runs twice per forward.
    """
    teacher = floating(network)
    for name, rectified in synapses_in_order(network, inputs).items():
        layer: Any = network.get_submodule(name)
        weight, quantizer = latent(layer), layer.parametrizations.weight[0]
        given = _sample(layer_inputs(network, name, inputs))
        wanted = given if spikes(network) else _sample(layer_inputs(teacher, name, inputs))
        activation = torch.relu if rectified else nn.Identity()

        def output(x: Tensor, w: Tensor, layer: Any = layer, f: Any = activation) -> Tensor:
            return f(apply(layer, x, w, layer.bias))  # type: ignore[no-any-return]

        grid = quantizer.grid(weight)
        up = _directions(layer, weight.detach(), grid, output, given, wanted, iterations)
        with torch.no_grad():
            codes = torch.floor(weight / grid.scale) + up + grid.zero_point
            weight.copy_(grid.values(codes.clamp_(grid.low, grid.high)))


def _sample(batches: Any) -> Tensor:
    """Keep `ROWS` inputs at most, spread evenly."""
    rows = torch.cat(list(batches))
    return rows[:: math.ceil(len(rows) / ROWS)]


def _directions(
    layer: nn.Module,
    weight: Tensor,
    grid: Grid,
    output: Callable[[Tensor, Tensor], Tensor],
    given: Tensor,
    wanted: Tensor,
    iterations: int,
) -> Tensor:
    """Return 1 where a weight is rounded up and 0 where down."""
    floor = torch.floor(weight / grid.scale)
    share = (weight / grid.scale - floor).clamp(1e-4, 1 - 1e-4)
    free = torch.logit((share + SHIFT) / STRETCH).requires_grad_()
    optimizer = torch.optim.Adam([free], RATE)
    generator = torch.Generator().manual_seed(0)
    for step in range(iterations):
        rows = torch.randint(len(given), (BATCH,), generator=generator).to(given.device)
        up = soft(free)
        codes = (floor + up + grid.zero_point).clamp(grid.low, grid.high)
        with torch.no_grad():
            target = output(wanted[rows], weight)
        error = output(given[rows], (codes - grid.zero_point) * grid.scale) - target
        loss = by_channel(layer, error).square().mean(1).sum() + PULL * pull(up, step / iterations)
        optimizer.zero_grad()
        (free.grad,) = torch.autograd.grad(loss, [free])
        optimizer.step()
    return (soft(free.detach()) >= 0.5).to(weight)


def soft(free: Tensor) -> Tensor:
    """Return h = clip(1.2 sigmoid(v) - 0.1, 0, 1)."""
    return (STRETCH * torch.sigmoid(free) - SHIFT).clamp(0, 1)


def pull(up: Tensor, progress: float) -> Tensor:
    """Return the sum of 1 - |2h - 1|^p, with p from 20 to 2 by cosine; 0 in the first fifth.

    >>> pull(torch.tensor([0.0, 1.0]), 0.9), pull(torch.tensor([0.5]), 0.9)
    (tensor(0.), tensor(1.))
    """
    if progress < QUIET:
        return torch.zeros(())
    left = (1 + math.cos(math.pi * (progress - QUIET) / (1 - QUIET))) / 2
    power = SOFT + (SHARP - SOFT) * left
    return (1 - (2 * up - 1).abs().pow(power)).sum()
