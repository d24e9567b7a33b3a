"""Relaxed variable splitting: proximal maps of sparse penalties, and the rule that uses them.

min over u of  l P(u) + (u - w)^2 / 2,  per weight:

l0   P = 1 for u != 0            w where |w| > sqrt(2 l), else 0
l1   P = |u|                     sgn(w) max(|w| - l, 0)
tl1  P = (a + 1) |u| / (a + |u|) root of a cubic above a threshold, else 0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.quantization.api import latent_weights
from snnquant.quantization.masked import MaskedWeight
from snnquant.quantization.methods.rvsm import RVSM
from snnquant.quantization.plan import Plan
from snnquant.quantization.rules import Rule


def nearest_l0(weight: Tensor, strength: float) -> Tensor:
    """Return the proximal map of the number of weights: those above sqrt(2 strength).

    >>> nearest_l0(torch.tensor([0.3, -1.0]), strength=0.125)
    tensor([ 0., -1.])
    """
    return torch.where(weight.abs() > math.sqrt(2 * strength), weight, 0)


def nearest_l1(weight: Tensor, strength: float) -> Tensor:
    """Return the proximal map of the sum of sizes: every size less the strength.

    >>> nearest_l1(torch.tensor([0.3, -1.0]), strength=0.5)
    tensor([ 0.0000, -0.5000])
    """
    return weight.sign() * (weight.abs() - strength).clamp(min=0)


def nearest_tl1(weight: Tensor, strength: float, shape: float = 1.0) -> Tensor:
    """Return the proximal map of transformed l1, ``(a + 1) |u| / (a + |u|)`` with shape a.

    Args:
        weight: Weights of any shape.
        strength: Weight of the penalty.
        shape: Form a, above 0.

    >>> nearest_tl1(torch.tensor([0.3, -2.0]), strength=0.5)
    tensor([ 0.0000, -1.8794])
    """
    a, size = shape, weight.abs()
    if strength <= a**2 / (2 * (a + 1)):
        threshold = strength * (a + 1) / a
    else:
        threshold = math.sqrt(2 * strength * (a + 1)) - a / 2
    cosine = 1 - 27 * strength * a * (a + 1) / (2 * (a + size) ** 3)
    angle = cosine.clamp(-1, 1).arccos()
    root = 2 / 3 * (a + size) * (angle / 3).cos() - 2 * a / 3 + size / 3
    return torch.where(size > threshold, weight.sign() * root, 0)


def plan(config: RVSM) -> Plan:
    """Return quantizers whose masks are open in training, and the rule of the splitting."""

    def quantizer(weight: Tensor, place: Any) -> MaskedWeight:
        return MaskedWeight(torch.ones_like(weight), config.bits)

    return Plan(
        weight=quantizer,
        rules=(partial(VariableSplitting, config=config),),
        recipe={"weight_decay": config.weight_decay},
    )


class VariableSplitting(Rule):
    """Rule that draws weights towards their sparse copies, which it deploys.

    Args:
        network: Network with the quantizers of `plan`.
        config: Penalty and pull.
    """

    def __init__(self, network: nn.Module, config: RVSM) -> None:
        maps: dict[str, Callable[[Tensor, float], Tensor]] = {
            "l0": nearest_l0,
            "l1": nearest_l1,
            "tl1": partial(nearest_tl1, shape=config.shape),
        }
        self.config, self.nearest = config, maps[config.penalty]
        self.layers = list(latent_weights(network, MaskedWeight).values())

    def sparse(self, weight: Tensor) -> Tensor:
        """Return the copy of a layer's weight, with the layer's root mean square as unit."""
        unit = weight.square().mean().sqrt().clamp(min=torch.finfo(weight.dtype).tiny)
        return self.nearest(weight / unit, self.config.strength) * unit

    @torch.no_grad()
    def after_step(self) -> None:
        """Draw the weights towards their copies."""
        for _, weight in self.layers:
            weight.lerp_(self.sparse(weight), self.config.pull)

    @contextmanager
    def deployed(self) -> Iterator[None]:
        """Put the copies in place of the weights, and masks over their zeros."""
        kept = [weight.detach().clone() for _, weight in self.layers]
        with torch.no_grad():
            for quantizer, weight in self.layers:
                weight.copy_(self.sparse(weight))
                quantizer.mask.copy_(weight != 0)
        try:
            yield
        finally:
            with torch.no_grad():
                for (quantizer, weight), old in zip(self.layers, kept, strict=True):
                    weight.copy_(old)
                    quantizer.mask.fill_(1)
