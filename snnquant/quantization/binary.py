"""Weights of one bit, and weights whose bits are found in training and kept in a buffer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snnquant.quantization.codes import Uniform
from snnquant.quantization.estimators import fake_quantize, straight_through
from snnquant.quantization.grids import quantize_symmetric
from snnquant.quantization.plan import WeightQuantizer


def binary_scale(weight: Tensor) -> Tensor:
    """Return the scale of signs that is closest to a weight: mean|w| per filter, [K, 1, ...].

    >>> binary_scale(torch.tensor([[1.0, -2.0, 3.0]]))
    tensor([[2.]])
    """
    axes = tuple(range(1, weight.ndim))
    return weight.abs().mean(axes, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)


def signs(weight: Tensor) -> Tensor:
    """Return 1 for weights from 0 up, else -1, in the weight's dtype."""
    return torch.where(weight < 0, -1, 1).to(weight.dtype)


def on_levels(weight: Tensor, bits: int) -> Tensor:
    """Return a weight as signs times a scale per filter, or on a symmetric grid per channel.

    One bit is mean|w| sgn(w) per filter, with sgn(0) = 1; its gradient passes everywhere. More bits
    are a grid per channel that follows the largest weight.

    Args:
        weight: Weight [K, ...].
        bits: Bits per weight.

    >>> weight = torch.tensor([[0.5, -0.1, 0.0]])
    >>> on_levels(weight, bits=1), on_levels(weight, bits=2)
    (tensor([[ 0.2000, -0.2000,  0.2000]]), tensor([[0.5000, 0.0000, 0.0000]]))
    """
    if bits > 1:
        return fake_quantize(weight, quantize_symmetric(weight, bits, per_channel=True))
    with torch.no_grad():
        levels = signs(weight) * binary_scale(weight)
    return straight_through(weight, levels)


@torch.no_grad()
def codes_of_levels(weight: Tensor, bits: int) -> Uniform:
    """Return the codes of `on_levels`: int8, -1 and 1 at one bit, with a scale per channel."""
    if bits > 1:
        grid = quantize_symmetric(weight, bits, per_channel=True)
        scale, codes = grid.scale, grid.codes(weight)
    else:
        scale, codes = binary_scale(weight), signs(weight)
    return Uniform(codes.to(torch.int8), scale, torch.zeros_like(scale, dtype=torch.int32))


class AllocatedWeight(WeightQuantizer):
    """Weight of one bit, or on a symmetric grid of more, as the buffer ``width`` says.

    Levels are those of `on_levels`.

    >>> quantizer = AllocatedWeight(bits=1)
    >>> weight = torch.tensor([[0.5, -0.1, 0.0]])
    >>> quantizer(weight)
    tensor([[ 0.2000, -0.2000,  0.2000]])
    >>> quantizer.bits = 2
    >>> quantizer(weight), quantizer.bits
    (tensor([[0.5000, 0.0000, 0.0000]]), 2)
    """

    width: Tensor

    def __init__(self, bits: int) -> None:
        nn.Module.__init__(self)  # the base would set `bits` before its buffer exists
        self.register_buffer("width", torch.tensor(float(bits)))

    @property
    def bits(self) -> int:
        """Bits per weight."""
        return int(self.width)

    @bits.setter
    def bits(self, bits: int) -> None:
        self.width.fill_(bits)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its levels, same shape and dtype."""
        return on_levels(weight, self.bits)

    def encode(self, weight: Tensor) -> Uniform:
        """Return int8 codes, -1 and 1 at one bit, with a scale per channel."""
        return codes_of_levels(weight, self.bits)

    @torch.no_grad()
    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Accept: scales follow the weight. A zero, which counts as positive, gets a sign."""
        weight.masked_fill_(weight == 0, torch.finfo(weight.dtype).tiny)

    def extra_repr(self) -> str:
        """Return the bits, for ``print(model)``."""
        return f"bits={self.bits}"
