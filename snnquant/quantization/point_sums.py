"""Weights as sums of points on uniform grids, with as many points as a channel's output needs.

Liu et al., Post-training Quantization with Multiple Points, AAAI 2021. Their grid of factors a is
known to us from a third party only; here a runs over shrunken ranges, as for one uniform grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from snnquant.quantization.codes import Terms, Uniform
from snnquant.quantization.estimators import straight_through
from snnquant.quantization.grids import Grid, least_squares_grid, quantize_symmetric
from snnquant.quantization.passes.observed_layers import (
    apply,
    by_channel,
    latent,
    layer_inputs,
    synapses_in_order,
)
from snnquant.quantization.plan import Calibration, LayerPlace, Plan, WeightQuantizer

if TYPE_CHECKING:
    from snnquant.quantization.methods.multipoint import Multipoint


def plan(config: Multipoint) -> Plan:
    """Return the quantizers of every weight, and the pass that counts their points."""

    def weight(weight: Tensor, place: LayerPlace) -> MultipointWeight:
        bits = config.outer_bits if place.role in ("first", "last") else config.bits
        return MultipointWeight(weight, bits, config.points)

    def count(network: nn.Module, seen: Calibration) -> None:
        count_points(network, seen.inputs, config.epsilon)

    return Plan(weight, after=(count,), trains=False)


class MultipointWeight(WeightQuantizer):
    """Sum over points i of a_i q_i per output channel, each q_i in whole numbers of b bits.

    Point by point, a_i q_i is the symmetric grid of least squared error for what the points before
    leave over. The buffer ``scale`` holds the steps of all points, ``points`` how many of them each
    channel uses, whole numbers in floating point: one, until `count_points` gives it more.

    Args:
        weight: Weight [K, ...].
        bits: Bits per point.
        points: Largest number of points per channel.

    >>> _ = torch.manual_seed(0)
    >>> weight = torch.randn(1, 256)
    >>> quantizer = MultipointWeight(weight, bits=2, points=3)
    >>> [round(float((weight - w).norm() / weight.norm()), 2) for w in quantizer.sums(weight)]
    [0.44, 0.22, 0.15]
    """

    scale: Tensor
    points: Tensor

    def __init__(self, weight: Tensor, bits: int, points: int) -> None:
        super().__init__(bits)
        rest, scales = weight.detach(), []
        for _ in range(points):
            grid = least_squares_grid(rest, quantize_symmetric, bits, per_channel=True)
            scales.append(grid.scale)
            rest = rest - grid.values(grid.codes(rest))
        self.register_buffer("scale", torch.stack(scales))
        self.register_buffer("points", torch.ones(len(weight)))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the sum of each channel's points, same shape and dtype."""
        quantized = self.encode(weight).decode()
        return straight_through(weight, quantized)

    @torch.no_grad()
    def encode(self, weight: Tensor) -> Terms:
        """Return a term per point; the codes of points that a channel does not use are 0."""
        points = self.points.view(-1, *[1] * (weight.ndim - 1))
        used = self._terms(weight)[: int(self.points.max())]
        return Terms(
            tuple(
                Uniform(term.codes * (place < points), term.scale, term.zero_point)
                for place, term in enumerate(used)
            )
        )

    @torch.no_grad()
    def sums(self, weight: Tensor) -> list[Tensor]:
        """Return the weight [K, ...] with 1, 2, ... points in every channel."""
        terms = self._terms(weight)
        return [Terms(terms[:count]).decode() for count in range(1, len(terms) + 1)]

    def _terms(self, weight: Tensor) -> tuple[Uniform, ...]:
        high, rest, terms = 2 ** (self.bits - 1) - 1, weight, list[Uniform]()
        for scale in self.scale:
            grid = Grid(scale, torch.zeros_like(scale), -high, high)
            codes, zero = grid.codes(rest).to(torch.int8), grid.zero_point.to(torch.int32)
            terms.append(Uniform(codes, scale, zero))
            rest = rest - terms[-1].decode()
        return tuple(terms)

    @torch.no_grad()
    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Prepare for a weight whose output channels are multiplied by `factors` [K, 1, ...]."""
        self.scale.mul_(factors.abs())


@torch.no_grad()
def count_points(network: nn.Module, inputs: Tensor, epsilon: float) -> None:
    """Give every output channel the points that its mean squared error needs, in place.

    Layer by layer, on inputs that the layers before hand on with their points: a channel takes the
    least number of points with E[(w x - Q(w) x)^2] <= epsilon, or all.

    Args:
        network: CNN or SNN with `MultipointWeight` on its layers.
        inputs: Calibration inputs [N, ...].
        epsilon: Largest mean squared error of a channel's output, in its units squared.

    Raises:
        InputError: A layer runs twice per forward.
    """
    for name in synapses_in_order(network, inputs):
        layer = network.get_submodule(name)
        quantizer = layer.parametrizations.weight[0]  # type: ignore[union-attr, index]
        assert isinstance(quantizer, MultipointWeight)
        weight = latent(layer)
        gaps = [points - weight for points in quantizer.sums(weight)]
        errors, count = torch.zeros(len(gaps), len(weight), dtype=torch.float64), 0
        for given in layer_inputs(network, name, inputs):
            outputs = [by_channel(layer, apply(layer, given, gap)) for gap in gaps]
            errors += torch.stack([o.double().square().sum(1).cpu() for o in outputs])
            count += outputs[0].shape[1]
        above = (errors / count > epsilon).long().cumprod(0).sum(0)
        quantizer.points.copy_((1 + above).clamp(max=len(gaps)))
