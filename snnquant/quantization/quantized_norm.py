"""Batch norms in few bits: ``y = S x + B`` with S and B on grids.

S = g / sqrt(v + eps) and B = beta - S m are quantized themselves, never g, m and v: v spans
decades, so that a rounded v would make S anything. In training m and v are those of the batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn.tracing import Leaf
from snnquant.quantization.estimators import fake_quantize, straight_through
from snnquant.quantization.grids import quantize_symmetric
from snnquant.quantization.powers_of_two import nearest_exponent


class QuantizedNorm(Leaf, nn.modules.batchnorm._BatchNorm):
    """Batch norm over axis 1 of values [N, K, ...] whose factor and term have `bits` bits.

    Straight-through gradients reach its scale and shift. State and statistics are those of torch's
    batch norm.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    bits: int = 8
    factor: str = "uniform"

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of axes."""

    def affine_form(self, mean: Tensor | None = None, var: Tensor | None = None) -> list[Tensor]:
        """Return the quantized S and B, each [K], of given statistics or of the running ones."""
        mean = self.running_mean if mean is None else mean
        var = self.running_var if var is None else var
        factor = self.weight / (var + self.eps).sqrt()
        term = self.bias - factor * mean
        rounded = signed_power if self.factor == "power_of_two" else self._rounded
        return [rounded(factor), self._rounded(term)]

    def _rounded(self, values: Tensor) -> Tensor:
        row = values[None]
        grid = quantize_symmetric(row.detach(), self.bits, per_channel=False)
        return fake_quantize(row, grid)[0]

    def forward(self, input: Tensor) -> Tensor:
        """Return values of the same shape."""
        mean = var = None
        if self.training:
            axes = [axis for axis in range(input.ndim) if axis != 1]
            mean, var = input.mean(axes), input.var(axes, correction=0)
            self._follow(mean.detach(), var.detach(), input.numel() // input.shape[1])
        column = (-1, *[1] * (input.ndim - 2))
        factor, term = (x.view(column) for x in self.affine_form(mean, var))
        return input * factor + term

    @torch.no_grad()
    def _follow(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Move the running statistics as torch's batch norm does."""
        self.num_batches_tracked.add_(1)
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var * count / max(1, count - 1), share)


class QuantizedNorm1d(QuantizedNorm, nn.BatchNorm1d):
    """Quantized norm in the place of `nn.BatchNorm1d`."""


class QuantizedNorm2d(QuantizedNorm, nn.BatchNorm2d):
    """Quantized norm in the place of `nn.BatchNorm2d`."""


class QuantizedNorm3d(QuantizedNorm, nn.BatchNorm3d):
    """Quantized norm in the place of `nn.BatchNorm3d`."""


KINDS: dict[type[nn.Module], type[QuantizedNorm]] = {
    nn.BatchNorm1d: QuantizedNorm1d,
    nn.BatchNorm2d: QuantizedNorm2d,
    nn.BatchNorm3d: QuantizedNorm3d,
}


def quantized_norm(norm: nn.Module, name: str, bits: int, factor: str = "uniform") -> QuantizedNorm:
    """Return the quantized norm in the place of a batch norm, with its state.

    Args:
        norm: Batch norm of torch's, with scale, shift and running statistics.
        name: Name of the layer, for errors.
        bits: Bits of factors and terms, 2 to 16.
        factor: uniform, or power_of_two for factors +-2^k, whose multiplication is a shift.

    Raises:
        InputError: The norm has no scale and shift, or no running statistics.

    >>> norm = quantized_norm(nn.BatchNorm2d(3), "norm", 8).eval()
    >>> norm(torch.ones(1, 3, 1, 1)).flatten()
    tensor([1.0000, 1.0000, 1.0000], grad_fn=<ViewBackward0>)
    """
    plain: Any = norm
    kind = KINDS.get(type(norm))
    if kind is None or plain.weight is None or plain.running_mean is None:
        raise InputError(
            f"layer {name}: found {norm}, expected a batch norm with scale, shift and statistics"
        )
    made = kind(plain.num_features, plain.eps, plain.momentum).to(plain.weight)
    made.load_state_dict(plain.state_dict())
    made.bits, made.factor = bits, factor
    return made.train(plain.training)


def signed_power(values: Tensor) -> Tensor:
    """Return the nearest signed powers of two, with a straight-through gradient; 0 stays 0.

    >>> signed_power(torch.tensor([0.7, -0.8, 3.1, 0.0]))
    tensor([ 0.5000, -1.0000,  4.0000,  0.0000])
    """
    with torch.no_grad():
        exponent = nearest_exponent(values.abs())
        powers = torch.where(values == 0, 0, torch.ldexp(values.sign(), exponent))
    return straight_through(values, powers)
