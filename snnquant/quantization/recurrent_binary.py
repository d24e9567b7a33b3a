"""Binary weights of learnt scale, held by a bilinear term, and their recurrent update: RBONN.

value  alpha b,  b = 0.02 sgn(w),  alpha = |parameter| per filter
loss   task + bilinear / 2 |w - alpha b|^2
w   <- w - U D g,  g the gradient of the last step, D 1 for filters of small alpha, else 0
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.config import QuantizationConfig
from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.api import latent_weights
from snnquant.quantization.binary import binary_scale, signs
from snnquant.quantization.codes import Uniform
from snnquant.quantization.methods.rbonn import RBONN
from snnquant.quantization.plan import LayerPlace, Plan, WeightQuantizer
from snnquant.quantization.rules import Rule
from snnquant.quantization.uniform import QuantizedWeight

UNIT = 0.02
"""Size of b, a constant of the authors' code."""
SLOWER = 0.1
"""Learning rate of the recurrent factors, over that of the other parameters."""


def plan(config: RBONN) -> Plan:
    """Return binary weights between the first and the last layer, and the recurrent rule."""

    def quantizer(weight: Tensor, place: LayerPlace) -> WeightQuantizer:
        if place.role in ("first", "last"):
            return QuantizedWeight(weight, QuantizationConfig(bits=config.ends_bits))
        return LearntScaleWeight(weight, config.bilinear, config.factor)

    return Plan(
        weight=quantizer,
        activation=None
        if config.activation_bits == 32
        else lambda place: QuantizedReLU(config.activation_bits),
        rules=(partial(RecurrentUpdate, share=config.share),),
        recipe={"weight_decay": config.weight_decay},
    )


class _Bilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, alpha: Tensor, bilinear: float) -> Tensor:
        b = signs(weight) * UNIT
        ctx.save_for_backward(weight, alpha, b)
        ctx.bilinear = bilinear
        return alpha * b

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        weight, alpha, b = ctx.saved_tensors
        pull = ctx.bilinear * (weight - alpha * b)
        of_alpha = ((grads[0] - pull) * b).sum(tuple(range(1, b.ndim)), keepdim=True)
        return alpha * grads[0] + pull, of_alpha, None


class LearntScaleWeight(WeightQuantizer):
    """Signs of a weight times a learnt scale per filter, with the gradients of the bilinear term.

    The gradient of w is that of ``alpha w``, straight through, plus ``bilinear (w - alpha b)``.

    Args:
        weight: Weight [K, ...], whose mean size per filter the scale starts from.
        bilinear: Weight of the term.
        factor: Start of the factor of the recurrent update.

    >>> LearntScaleWeight(torch.tensor([[0.3, -0.1]]), 1e-4, 0.2)(torch.tensor([[0.3, -0.1]]))
    tensor([[ 0.2000, -0.2000]], grad_fn=<_BilinearBackward>)
    """

    def __init__(self, weight: Tensor, bilinear: float, factor: float) -> None:
        super().__init__(bits=1)
        self.bilinear = bilinear
        self.alpha = nn.Parameter(binary_scale(weight.detach()) / UNIT)
        self.factor = nn.Parameter(torch.full_like(self.alpha, factor))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its two levels, same shape and dtype."""
        found: Tensor = _Bilinear.apply(weight, self.alpha.abs(), self.bilinear)  # type: ignore[no-untyped-call]
        return found

    @torch.no_grad()
    def encode(self, weight: Tensor) -> Uniform:
        """Return codes -1 and 1 as int8, with a scale per channel."""
        scale = self.alpha.abs() * UNIT
        zero_point = torch.zeros_like(scale, dtype=torch.int32)
        return Uniform(signs(weight).to(torch.int8), scale, zero_point)

    @torch.no_grad()
    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Multiply the scales by the size of the factors; a zero gets a sign."""
        weight.masked_fill_(weight == 0, torch.finfo(weight.dtype).tiny)
        self.alpha.mul_(factors.abs())


def small_scales(alpha: Tensor, share: float) -> Tensor:
    """Return 1 for the filters of the smallest scales, else 0, in the shape of alpha [K, 1, ...].

    >>> small_scales(torch.tensor([[3.0], [1.0], [4.0], [2.0]]), share=0.5).flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    chosen = alpha.abs().flatten().argsort(stable=True)[: round(share * alpha.numel())]
    found = torch.zeros_like(alpha)
    found.view(-1)[chosen] = 1
    return found


class RecurrentUpdate(Rule):
    """Rule that gives filters of small scale the gradient of the last step once more.

    The factors are parameters: the optimizer moves them, at a tenth of its rate.

    Args:
        network: Network with the quantizers of `plan`.
        share: Share of filters of a layer.
    """

    def __init__(self, network: nn.Module, share: float) -> None:
        self.share = share
        self.layers = list(latent_weights(network, LearntScaleWeight).values())
        self.given = [torch.zeros_like(weight) for _, weight in self.layers]
        self._before: list[Tensor] = []

    @torch.no_grad()
    def before_step(self) -> None:
        """Set the factors' gradients: those of the loss by ``w - U D g`` before the forward."""
        for (quantizer, weight), given in zip(self.layers, self.given, strict=True):
            assert weight.grad is not None
            axes = tuple(range(1, weight.ndim))
            quantizer.factor.grad = -(weight.grad * given).sum(axes, keepdim=True)
        self._before = [quantizer.factor.detach().clone() for quantizer, _ in self.layers]

    @torch.no_grad()
    def after_step(self) -> None:
        """Slow the factors down; update the filters of small scale again."""
        for place, (quantizer, weight) in enumerate(self.layers):
            assert weight.grad is not None
            quantizer.factor.lerp_(self._before[place], 1 - SLOWER)
            self.given[place] = weight.grad * small_scales(quantizer.alpha, self.share)
            weight.sub_(quantizer.factor * self.given[place])

    def state_dict(self) -> dict[str, Tensor]:
        """Return the gradients that were given again in the last step."""
        return {str(place): given.clone() for place, given in enumerate(self.given)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the tensors of `state_dict`."""
        for place, given in enumerate(self.given):
            given.copy_(state[str(place)])
