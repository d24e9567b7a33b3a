"""Repetition over the time steps and the mean over them; the gradient of each is the other's form.

Where channels come last in memory torch's sum over the first axis takes several times as long as
additions of its T slices, and the gradient of its mean is written T times.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Repeat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, steps: int) -> Tensor:
        return x.expand(steps, *x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _sum(grads[0]), None


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.steps = len(x)
        return _sum(x) / ctx.steps if ctx.steps > 1 else x[0]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return repeat(_divided(grads[0], ctx.steps), ctx.steps)


def repeat(x: Tensor, steps: int) -> Tensor:
    """Return x [N, ...] at each of the steps, as a view [T, N, ...]."""
    if torch.compiler.is_compiling() or not x.requires_grad:
        return x.expand(steps, *x.shape)
    repeated: Tensor = _Repeat.apply(x, steps)  # type: ignore[no-untyped-call]
    return repeated


def mean(x: Tensor) -> Tensor:
    """Return the mean [N, ...] over the steps of x [T, N, ...]."""
    if torch.compiler.is_compiling() or x.dtype not in (torch.float32, torch.float64):
        return x.mean(0)  # sums narrow numbers in float32
    average: Tensor = _Mean.apply(x)  # type: ignore[no-untyped-call]
    return average


def _divided(x: Tensor, number: int) -> Tensor:
    """Return x / number, where x is a view that repeats a view of as few quotients."""
    once = tuple(slice(None if step else 1) for step in x.stride())
    return (x[once] / number).expand_as(x)


def _sum(x: Tensor) -> Tensor:
    """Sum over the steps, in their order."""
    if len(x) == 1:
        return x[0]
    total = x[0] + x[1]
    for term in x[2:]:
        total += term
    return total
