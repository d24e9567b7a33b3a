r"""Functions whose backward pass needs bits: synapses of binary inputs, and the l1 norm's sign.

A synapse keeps its input X, as bits where every value is 0 or 1, else in 16 bits, and has

.. math:: Y = X * \mathrm{sgn} W, \quad dX = dY * \mathrm{sgn} W^T, \quad
    dW = \mathrm{sgn}(dY^T X) / \sqrt n

for a fan-in of n, with dW = 0 where \|W\| > 1. Per channel, the l1 norm before an activation is

.. math:: \mu = \mathrm{mean} Y, \quad \psi = \mathrm{mean} |Y - \mu|, \quad
    X' = (Y - \mu) / \psi, \quad A = [X' + \beta > 0]

of which :math:`\mathrm{sgn} X'` (as bits), :math:`\psi` and :math:`\omega = \mathrm{mean} |X'|` are
kept. With :math:`v = dA / \psi` the gradients are

.. math:: dY = v - \mathrm{mean}(v) - \mathrm{sgn} X' \,\mathrm{mean}(v \,\mathrm{sgn} X')\, \omega,
    \quad d\beta = \sum dA

where dA counts as 0 for :math:`|X' + \beta| > 1` if that is kept too.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.quantization.binary import signs
from snnquant.quantization.passes.observed_layers import apply

TINY = 1e-5
"""Added to a mean absolute deviation, as norms do."""
_SHIFTS = torch.arange(8, dtype=torch.uint8)


def pack_bits(bits: Tensor) -> Tensor:
    """Return bools of any shape as bytes, eight in each.

    >>> pack_bits(torch.tensor([[True, False, True], [False, False, False]]))
    tensor([5], dtype=torch.uint8)
    """
    flat = bits.reshape(-1).to(torch.uint8)
    padded = torch.nn.functional.pad(flat, (0, -len(flat) % 8)).view(-1, 8)
    return (padded << _SHIFTS.to(flat.device)).sum(1, dtype=torch.uint8)


def unpack_bits(packed: Tensor, shape: torch.Size) -> Tensor:
    """Return the bools that `pack_bits` packed.

    >>> unpack_bits(torch.tensor([5], dtype=torch.uint8), torch.Size([3]))
    tensor([ True, False,  True])
    """
    bits = (packed[:, None] >> _SHIFTS.to(packed.device)) & 1
    return bits.flatten()[: math.prod(shape)].view(shape).bool()


def keep(x: Tensor) -> Tensor:
    """Return what is kept of a layer's input: bits of zeros and ones, else 16-bit values."""
    if bool(((x == 0) | (x == 1)).all()):
        return pack_bits(x > 0)
    return x.half()


def kept(stored: Tensor, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Return the input that `keep` kept."""
    if stored.dtype == torch.uint8:
        return unpack_bits(stored, shape).to(dtype)
    return stored.to(dtype)


class SignSynapse(torch.autograd.Function):
    """Convolution or dense layer by the signs of its latent weight, without bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, latent: Tensor, layer: nn.Module) -> Tensor:
        """Return the layer's sums of inputs x [N, ...] by the signs of a weight."""
        ctx.save_for_backward(keep(x.detach()), latent)
        ctx.layer, ctx.shape, ctx.dtype = layer, x.shape, x.dtype
        return apply(layer, x, signs(latent).to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return the gradient of the inputs, and one bit per weight."""
        stored, latent = ctx.saved_tensors
        x = kept(stored, ctx.shape, ctx.dtype).requires_grad_(ctx.needs_input_grad[0])
        weight = signs(latent).to(ctx.dtype).requires_grad_()
        with torch.enable_grad():
            output = apply(ctx.layer, x, weight)
        wanted = [x, weight] if ctx.needs_input_grad[0] else [weight]
        *of_x, of_weight = torch.autograd.grad(output, wanted, grads[0])
        one_bit = signs(of_weight) / math.sqrt(latent[0].numel())
        one_bit = torch.where(latent.abs() > 1, 0, one_bit).to(latent.dtype)
        return of_x[0] if of_x else None, one_bit, None


class NormedSign(torch.autograd.Function):
    """Activation, 1 where a value's l1 norm plus the shift is above 0, else 0.

    Returns it with mean and size, [K] each, of every channel.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, shift: Tensor, mask: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return the activation of sums y [N, K, ...], and their mean and size [K]."""
        mean, size = channel_moments(y)
        normed = (y - _along(mean, y)) / _along(size, y)
        shifted = normed + _along(shift, y)
        masked = [pack_bits(shifted.abs() <= 1)] if mask else []
        ctx.save_for_backward(pack_bits(normed > 0), size, _of_channels(normed.abs()), *masked)
        ctx.shape = y.shape
        ctx.mark_non_differentiable(mean, size)
        return (shifted > 0).to(y.dtype), mean, size

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return the gradients of the sums and of the shift."""
        bits, size, omega, *masked = ctx.saved_tensors
        of_normed = grads[0]
        if masked:
            of_normed = of_normed * unpack_bits(masked[0], ctx.shape)
        sign = 2.0 * unpack_bits(bits, ctx.shape) - 1
        v = of_normed / _along(size, of_normed)
        along_sign = _of_channels(v * sign) * omega
        of_y = v - _along(_of_channels(v), v) - sign * _along(along_sign, v)
        return of_y, _of_channels(of_normed) * (of_normed.numel() / len(size)), None


def channel_moments(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and mean absolute deviation [K] of every channel of sums [N, K, ...].

    >>> channel_moments(torch.tensor([[1.0], [3.0]]))
    (tensor([2.]), tensor([1.0000]))
    """
    mean = _of_channels(y)
    return mean, _of_channels((y - _along(mean, y)).abs()) + TINY


def _of_channels(values: Tensor) -> Tensor:
    """Return the mean of every channel, axis 1."""
    return values.mean([axis for axis in range(values.ndim) if axis != 1])


def _along(channels: Tensor, values: Tensor) -> Tensor:
    """Return values per channel [K] as they broadcast against values [N, K, ...]."""
    return channels.view(-1, *(1 for _ in values.shape[2:]))
