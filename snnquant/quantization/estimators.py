"""Gradient estimators: what backward does where forward rounded."""

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
    """``quantized`` forward; backward gives ``value`` the gradient where ``inside``, 0 elsewhere.

    All three have one shape. ``quantized`` is taken as a constant.
    """
    result: Tensor = _StraightThrough.apply(value, quantized, inside)  # type: ignore[no-untyped-call]
    return result


def fake_quantize(weight: Tensor, grid: Grid) -> Tensor:
    """The weight on its grid, in floating point, with a clipped straight-through gradient.

    The gradient is 1 inside the clipping range and 0 outside; inside means that rounding alone
    finds a code, without clipping it to low..high. The scale counts as a constant even where it
    follows the weight (unlike Brevitas, which differentiates it).
    """
    with torch.no_grad():
        unclipped = grid.unclipped_codes(weight)
        codes = unclipped.clamp(grid.low, grid.high)
        quantized = grid.values(codes)
    return straight_through(weight, quantized, unclipped == codes)
