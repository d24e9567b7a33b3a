r"""Standardised weights of few bits, whose layers keep the variance of their inputs.

A filter of n weights becomes :math:`W' = g (W - \bar W) / (\sigma_W + 10^{-5}) / \sqrt n`, of norm
g, and at one bit :math:`\mathrm{mean}|W'| \, \mathrm{sgn} W'`, whose norm is
:math:`g \sqrt{2/\pi}` for Gaussian weights. Signs therefore start with a gain larger by
:math:`\sqrt{\pi/2}`, without which every layer would lose the share 1 - 2/pi of the variance.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.binary import codes_of_levels, on_levels
from snnquant.quantization.codes import Uniform
from snnquant.quantization.estimators import Cells
from snnquant.quantization.gradient_clipping import GradientClipping
from snnquant.quantization.methods.norm_free_bnn import NormFreeBNN
from snnquant.quantization.plan import LayerPlace, Plan, WeightQuantizer

SIGN_GAIN = math.sqrt(math.pi / 2)
"""Gain at which signs have the norm of the Gaussian weights that they are of."""
EPSILON = 1e-5
CEILING = 2.0
"""Value of a binary activation that is on, less 0 when off: of variance 1, as signs have it."""


def plan(config: NormFreeBNN) -> Plan:
    """Return the quantizers and the clipping of gradients; weights do not decay."""
    trained = config.start == "trained"

    def quantizer(weight: Tensor, place: LayerPlace) -> WeightQuantizer:
        ends = place.role in ("first", "last")
        bits = config.ends_bits if ends else config.bits
        return StandardisedWeight(weight, bits, trained=trained)

    return Plan(
        quantizer,
        activation=lambda place: BinaryReLU(0.0 if trained else CEILING),
        rules=(partial(GradientClipping, limit=config.clipping),),
        recipe={"weight_decay": 0.0},
    )


class StandardisedWeight(WeightQuantizer):
    """Weight of mean 0 and a learnt norm per filter, as signs or on a symmetric grid.

    Args:
        weight: Weight [K, ...] in floating point.
        bits: Bits per weight; 1: signs times one scale per filter.
        trained: Start with the weight's own norms, else with 1.

    >>> quantizer = StandardisedWeight(torch.randn(3, 400), bits=1, trained=False)
    >>> quantizer(torch.randn(3, 400)).square().sum(1).sub(1).abs().max() < 0.2
    tensor(True)
    """

    def __init__(self, weight: Tensor, bits: int, *, trained: bool) -> None:
        super().__init__(bits)
        _, deviation = _moments(weight.detach())
        gain = deviation * math.sqrt(weight[0].numel()) if trained else torch.ones_like(deviation)
        self.gain = nn.Parameter(gain * (SIGN_GAIN if bits == 1 else 1.0))

    def standardised(self, weight: Tensor) -> Tensor:
        """Return the weight of mean 0 and norm `gain`, in floating point."""
        mean, deviation = _moments(weight)
        return self.gain * (weight - mean) / (deviation + EPSILON) / math.sqrt(weight[0].numel())

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its levels, same shape and dtype; the gradient passes rounding."""
        return on_levels(self.standardised(weight), self.bits)

    @torch.no_grad()
    def encode(self, weight: Tensor) -> Uniform:
        """Return int8 codes, -1 and 1 at one bit, with a scale per channel."""
        return codes_of_levels(self.standardised(weight), self.bits)

    @torch.no_grad()
    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Move the size of the factors into the gain; their signs turn the weight."""
        _, deviation = _moments(weight)
        self.gain.mul_((factors.abs() * deviation + EPSILON) / (deviation + EPSILON))

    def extra_repr(self) -> str:
        """Return the bits, for ``print(model)``."""
        return f"bits={self.bits}"


def _moments(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of every filter, [K, 1, ...]."""
    axes = tuple(range(1, weight.ndim))
    centred = weight - weight.mean(axes, keepdim=True)
    return weight.mean(axes, keepdim=True), centred.square().mean(axes, keepdim=True).sqrt()


class BinaryReLU(QuantizedReLU):
    """Activation of one bit, 0 or the ceiling, with the derivative that Bi-Real gives a sign.

    With z = 2 x / ceiling - 1 it is the sign of z up to scale and shift, which the next layer's
    weights of mean 0 do not see; its derivative is 2 - 2 |z| for |z| < 1 and 0 elsewhere.

    Args:
        ceiling: Value when on; 0: found from the first inputs.

    >>> x = torch.tensor([[0.0, 0.5, 1.0, 1.5, 3.0]], requires_grad=True)
    >>> relu = BinaryReLU(2.0)
    >>> relu(x).sum().backward()
    >>> relu(x).tolist(), x.grad.tolist()
    ([[0.0, 0.0, 0.0, 2.0, 2.0]], [[0.0, 1.0, 2.0, 1.0, 0.0]])
    """

    def __init__(self, ceiling: float) -> None:
        super().__init__(bits=1, estimator="polynomial")
        nn.init.constant_(self.ceiling, ceiling)

    def cells(self, ratio: Tensor) -> Cells:
        """Return the places of values, of which only those between the two levels count."""
        return Cells(ratio, ratio - ratio.round(), (ratio > 0) & (ratio < 1), self.high)
