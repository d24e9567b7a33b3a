"""Weights projected onto few levels with a least-squares scale, as in BCGD, and DoReFa's levels.

BCGD    1 bit: mean|w| sgn(w); 2 bits: ternary; from 3 bits: 2^b - 1 levels, scale by regression
DoReFa  2 Q_b(tanh w / (2 max|tanh w|) + 1/2) - 1,  Q_b(x) = round((2^b - 1) x) / (2^b - 1)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.api import latent_weights
from snnquant.quantization.codes import Uniform
from snnquant.quantization.estimators import (
    ESTIMATORS,
    Cells,
    Estimator,
    estimate,
    straight_through,
)
from snnquant.quantization.plan import LayerPlace, Plan, WeightQuantizer
from snnquant.quantization.rules import Rule

TERNARY_THRESHOLD = 0.7
"""Share of the mean of |w| from which a weight is no zero at 2 bits."""

SILENT = 1e-30
"""Scale of a channel that is multiplied by 0: the weight is divided by it."""


def project(weight: Tensor, bits: int, *, per_channel: bool) -> tuple[Tensor, Tensor]:
    """Return the codes and scale that BCGD quantizes a weight to; ``codes * scale`` is the value.

    1 bit: signs, scale mean|w|; a zero counts as positive, a negative zero as negative. 2 bits: 0
    and signs from 0.7 mean|w|, scale the mean of |w| over those kept. From 3 bits: codes k up to
    K = 2^(b-1) - 1 with |w| in ((2k - 1) d, (2k + 1) d], d = max|w| / (2K + 1), and the scale of
    least squares, sum |w|k / sum k^2. BCGD has 1, 2 and 4 bits; others follow the rule of 4.

    Args:
        weight: Weight [K, ...].
        bits: Bits per weight, 1 to 8.
        per_channel: One scale per output channel, else one for the tensor.

    Returns:
        Codes [K, ...], whole numbers in the weight's dtype, and the scale, [K, 1, ...] or [1, ...].

    >>> import torch
    >>> codes, scale = project(torch.tensor([[0.9, -0.7, 0.1]]), 2, per_channel=False)
    >>> codes * scale
    tensor([[ 0.8000, -0.8000,  0.0000]])
    """
    size, axes = weight.abs(), tuple(range(int(per_channel), weight.ndim))
    sign = torch.where(weight.signbit(), -1.0, 1.0).to(weight.dtype)
    if bits == 1:
        return sign, size.mean(axes, keepdim=True)
    if bits == 2:
        steps = (size >= TERNARY_THRESHOLD * size.mean(axes, keepdim=True)).to(weight.dtype)
        steps = torch.where(size > 0, steps, 0)
    else:
        high = 2 ** (bits - 1) - 1
        cell = size.amax(axes, keepdim=True) * 2 / (2 * high + 1)
        cell = cell.clamp(min=torch.finfo(cell.dtype).tiny)
        steps = (size / cell - 0.5).ceil().clamp(0, high)
    squares = steps.square().sum(axes, keepdim=True).clamp(min=1)
    codes = torch.where(steps > 0, sign * steps, 0)  # never a negative zero, which no integer has
    return codes, (size * steps).sum(axes, keepdim=True) / squares


def tanh_codes(weight: Tensor, bits: int, estimator: Estimator) -> Tensor:
    """Return DoReFa's codes, odd numbers from -(2^b - 1) to 2^b - 1: it has no level 0.

    The gradient is that of ``(2^b - 1) tanh w / max|tanh w|``, the largest weight included, with
    the estimator's factor for rounding. ``codes / (2^b - 1)`` is DoReFa's weight.

    Args:
        weight: Weight [K, ...].
        bits: Bits per weight, 1 to 8.
        estimator: Entry of `ESTIMATORS`.

    Returns:
        Codes [K, ...], whole numbers in the weight's dtype.

    >>> import torch
    >>> from snnquant.quantization.estimators import ste
    >>> tanh_codes(torch.tensor([[2.0, 0.3, -0.3, -2.0]]), 2, ste)
    tensor([[ 3.,  1., -1., -3.]])
    """
    high = 2**bits - 1
    bent = weight.tanh()
    largest = bent.abs().amax().clamp(min=torch.finfo(bent.dtype).tiny)
    value = (bent / (2 * largest) + 0.5) * high
    with torch.no_grad():
        rounded = value.round()
        inside = torch.ones_like(value, dtype=torch.bool)
        cells = Cells(value, value - rounded, inside, high)
    codes: Tensor = 2 * estimate(value, rounded, cells, estimator) - high
    return codes


class ProjectedWeight(WeightQuantizer):
    """Weight projected as in BCGD, with the plain straight-through gradient.

    Args:
        bits: Bits per weight, 1 to 8.
        granularity: channel or tensor, what shares a scale.

    >>> ProjectedWeight(1, "tensor")(torch.tensor([[0.5, -0.1]]))
    tensor([[ 0.3000, -0.3000]])
    """

    def __init__(self, bits: int, granularity: str) -> None:
        super().__init__(bits)
        self.granularity = granularity

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its levels, same shape and dtype."""
        with torch.no_grad():
            codes, scale = self._project(weight)
        return straight_through(weight, codes * scale)

    @torch.no_grad()
    def encode(self, weight: Tensor) -> Uniform:
        """Return codes as int8 around 0."""
        codes, scale = self._project(weight)
        zero_point = torch.zeros_like(scale, dtype=torch.int32)
        return Uniform(codes.to(torch.int8), scale, zero_point)

    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Accept with a scale per channel, which follows the weight; refuse with one per layer."""
        if self.granularity != "channel":
            super().scale_channels_(weight, factors)

    def _project(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return project(weight, self.bits, per_channel=self.granularity == "channel")

    def extra_repr(self) -> str:
        """Return the options, for ``print(model)``."""
        return f"bits={self.bits}, per {self.granularity}"


class Blending(Rule):
    """Blend of each weight and its quantized value, before every step of the optimizer.

    ``w <- (1 - rho) w + rho Q(w)``; the gradient was taken at Q(w).

    Args:
        network: Network whose weights `ProjectedWeight` quantizes.
        rho: Share of the quantized value, 0 to below 1.
    """

    def __init__(self, network: nn.Module, rho: float) -> None:
        self.rho = rho
        self._pairs = list(latent_weights(network, ProjectedWeight).values())

    @torch.no_grad()
    def before_step(self) -> None:
        """Blend the weights."""
        for quantizer, weight in self._pairs:
            weight.lerp_(quantizer(weight), self.rho)


class TanhWeight(WeightQuantizer):
    """Weight on the levels of DoReFa, times a scale per output channel.

    The buffer ``scale`` divides the weight before and multiplies it after: 1 as published, the
    layer's largest weight where the layer is to keep its range.

    Args:
        weight: Weight that the quantizer is made for, [K, ...].
        bits: Bits per weight, 2 to 7: codes are odd numbers, and have to fit int8.
        estimator: Key of `ESTIMATORS`.
        keep_range: Whether the scale is the largest weight, else 1.

    >>> weight = torch.tensor([[0.6, -0.2], [0.1, 0.0]])
    >>> TanhWeight(weight, 2, "ste", keep_range=True)(weight)
    tensor([[ 0.6000, -0.2000],
            [ 0.2000,  0.2000]])
    """

    scale: Tensor

    def __init__(self, weight: Tensor, bits: int, estimator: str, *, keep_range: bool) -> None:
        super().__init__(bits)
        self.estimator = ESTIMATORS.get(estimator)
        shape = (len(weight), *(1 for _ in weight.shape[1:]))
        largest = weight.detach().abs().amax() if keep_range else torch.ones(())
        scale = torch.where(largest > 0, largest, 1.0).to(weight)
        self.register_buffer("scale", scale.expand(shape).clone())

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its levels, same shape and dtype."""
        return self._codes(weight) * self._step

    @torch.no_grad()
    def encode(self, weight: Tensor) -> Uniform:
        """Return odd codes as int8 around 0."""
        zero_point = torch.zeros_like(self.scale, dtype=torch.int32)
        return Uniform(self._codes(weight).to(torch.int8), self._step, zero_point)

    @torch.no_grad()
    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Multiply the scales: codes stay as they are; a factor 0 leaves next to nothing."""
        self.scale.mul_(torch.where(factors == 0, SILENT, factors))

    def _codes(self, weight: Tensor) -> Tensor:
        return tanh_codes(weight / self.scale, self.bits, self.estimator)

    @property
    def _step(self) -> Tensor:
        step: Tensor = self.scale / (2**self.bits - 1)
        return step

    def extra_repr(self) -> str:
        """Return the bits, for ``print(model)``."""
        return f"bits={self.bits}"


def bcgd(config: Any) -> Plan:
    """Return BCGD's quantizers of weights and ReLUs, and its blending."""

    def activation(place: LayerPlace) -> QuantizedReLU:
        return QuantizedReLU(config.activation_bits, "bcgd")

    return Plan(
        lambda weight, place: ProjectedWeight(config.bits, config.granularity),
        activation=None if config.activation_bits == 32 else activation,
        rules=(lambda network: Blending(network, config.blending),),
        recipe={"weight_decay": config.weight_decay},
    )


def dorefa(config: Any) -> Plan:
    """Return DoReFa's quantizers of weights and ReLUs."""
    keep_range = config.scale == "range"

    def activation(place: LayerPlace) -> QuantizedReLU:
        relu = QuantizedReLU(config.activation_bits, "pact")
        if not keep_range:
            relu.ceiling.requires_grad_(False).fill_(1)
        return relu

    return Plan(
        lambda weight, place: TanhWeight(
            weight, config.bits, config.estimator, keep_range=keep_range
        ),
        activation=None if config.activation_bits == 32 else activation,
    )
