"""Gradient estimators: the backward pass of rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snnquant.quantization.grids import Grid


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, quantized: Tensor, inside: Tensor) -> Tensor:
        ctx.save_for_backward(inside)
        return quantized

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (inside,) = ctx.saved_tensors
        return torch.where(inside, grads[0], 0), None, None


def straight_through(value: Tensor, quantized: Tensor, inside: Tensor) -> Tensor:
    """Return ``quantized``; backward gives ``value`` the gradient where ``inside``, 0 elsewhere.

    Args:
        value: Tensor in floating point.
        quantized: Its quantized value, of the same shape, taken as a constant.
        inside: Where the gradient passes, bool, of the same shape.

    Returns:
        ``quantized``, with the gradient of ``value``.

    >>> import torch
    >>> value = torch.tensor([0.4, 3.0], requires_grad=True)
    >>> straight_through(value, value.detach().round().clamp(max=1), value <= 1).sum().backward()
    >>> value.grad
    tensor([1., 0.])
    """
    result: Tensor = _StraightThrough.apply(value, quantized, inside)  # type: ignore[no-untyped-call]
    return result


def fake_quantize(weight: Tensor, grid: Grid) -> Tensor:
    """Return the weight on its grid, in floating point, with a clipped straight-through gradient.

    The gradient is 1 inside the clipping range and 0 outside; inside means that rounding finds a
    code without clipping it to low..high. The scale counts as a constant even where it follows the
    weight (unlike Brevitas, which differentiates it).
    """
    with torch.no_grad():
        unclipped = grid.unclipped_codes(weight)
        codes = unclipped.clamp(grid.low, grid.high)
        quantized = grid.values(codes)
    return straight_through(weight, quantized, unclipped == codes)
