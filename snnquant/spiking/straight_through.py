"""Gradients that pass through a rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Replaced(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0], None


def replaced(x: Tensor, value: Tensor) -> Tensor:
    """Return `value`, of the shape of `x`, exactly; its gradient goes to `x` as it is."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return value
    found: Tensor = _Replaced.apply(x, value)  # type: ignore[no-untyped-call]
    return found
