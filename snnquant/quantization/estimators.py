"""Gradient estimators: the backward pass of rounding, by name.

Rounding has derivative 0 almost everywhere; an estimator stands in for it. It is a pure function
from the place of a value among the cells of a uniform grid to the factor that its gradient is
multiplied by. A third party adds one by name:

    from snnquant.quantization.estimators import ESTIMATORS

    @ESTIMATORS.register("half")
    def half(cells, gradient):
        return torch.full_like(cells.value, 0.5)

`cosine`, `tanh` and `polynomial` average to 1 over a cell, so that a change of estimator is no
change of the learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pim_sim.registry import Registry
from snnquant.quantization.grids import Grid


@dataclass(frozen=True)
class Cells:
    """Place of every value among the cells of a grid; a cell is what rounds to one level.

    >>> import torch
    >>> cells = Cells(torch.tensor([1.25]), torch.tensor([0.25]), torch.tensor([True]), 3)
    >>> cells.to_boundary
    tensor([0.2500])
    """

    value: Tensor
    """Values in steps of the grid, from the level 0."""
    position: Tensor
    """Values in steps from the middle of their cell, -1/2 to 1/2."""
    inside: Tensor
    """True where rounding clips nothing; bool."""
    high: Tensor | float
    """Largest level in steps."""

    @property
    def to_boundary(self) -> Tensor:
        """Distance from the nearest boundary of a cell in steps, 0 to 1/2."""
        return 0.5 - self.position.abs()


Estimator = Callable[[Cells, Tensor], Tensor]
"""Function from cells and the gradient that arrives to the gradient's factor, of one shape."""

ESTIMATORS: Registry[Estimator] = Registry("gradient estimator")
"""Estimators by the name that `--estimator` takes."""


@ESTIMATORS.register("clipped")
def clipped(cells: Cells, gradient: Tensor) -> Tensor:
    """Return 1 inside the range of the grid, 0 outside."""
    return cells.inside.to(gradient.dtype)


@ESTIMATORS.register("identity")
@ESTIMATORS.register("ste")
def ste(cells: Cells, gradient: Tensor) -> Tensor:
    """Return 1 everywhere: the plain straight-through estimator."""
    return torch.ones_like(gradient)


@ESTIMATORS.register("cosine")
def cosine(cells: Cells, gradient: Tensor, amplitude: float = 0.8) -> Tensor:
    """Return ``1 + a cos(2 pi p)`` at position p: largest at a level, smallest at a boundary."""
    return (1 + amplitude * (2 * math.pi * cells.position).cos()) * cells.inside


@ESTIMATORS.register("tanh")
def tanh(cells: Cells, gradient: Tensor, sharpness: float = 4.0) -> Tensor:
    """Return the derivative of a chain of tanh steps, one per boundary, as in DSQ.

    At distance r from a boundary it is ``k (1 - tanh(k r)^2) / (2 tanh(k / 2))``.
    """
    slope = 1 - (sharpness * cells.to_boundary).tanh().square()
    return slope * (sharpness / (2 * math.tanh(sharpness / 2))) * cells.inside


@ESTIMATORS.register("ewgs")
def ewgs(cells: Cells, gradient: Tensor, delta: float = 0.2) -> Tensor:
    """Return ``1 + delta sgn(g) p`` for the gradient g: larger where a step moves to the level.

    The position counts in steps and delta is fixed; both are this package's choice.
    """
    return (1 + delta * gradient.sign() * cells.position) * cells.inside


@ESTIMATORS.register("polynomial")
def polynomial(cells: Cells, gradient: Tensor) -> Tensor:
    """Return ``2 - 2 x`` at distance x from a boundary, in half steps: Bi-Real's, for any grid."""
    return (2 - 4 * cells.to_boundary) * cells.inside


@ESTIMATORS.register("relu")
def relu(cells: Cells, gradient: Tensor) -> Tensor:
    """Return 1 above 0, also above the largest level, and 0 elsewhere; for activations."""
    return (cells.value > 0).to(gradient.dtype)


@ESTIMATORS.register("clipped_relu")
def clipped_relu(cells: Cells, gradient: Tensor) -> Tensor:
    """Return 1 above 0 and inside the range, 0 elsewhere; for activations."""
    return ((cells.value > 0) & cells.inside).to(gradient.dtype)


@ESTIMATORS.register("log")
def log(cells: Cells, gradient: Tensor) -> Tensor:
    """Return `relu` with a tail: above the largest level h, ``1 / (1 + x - h)`` at x steps."""
    beyond = (cells.value - cells.high).clamp(min=0)
    return torch.where(cells.value > 0, 1 / (1 + beyond), 0.0)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, quantized: Tensor, inside: Tensor | None) -> Tensor:
        ctx.save_for_backward(inside)
        return quantized

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (inside,) = ctx.saved_tensors
        return grads[0] if inside is None else torch.where(inside, grads[0], 0), None, None


class _Estimated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, value: Tensor, quantized: Tensor, estimator: Estimator, *cells: Tensor
    ) -> Tensor:
        ctx.save_for_backward(*cells)
        ctx.estimator = estimator
        return quantized

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        cells = Cells(*ctx.saved_tensors)
        factor = ctx.estimator(cells, grads[0])
        # Where nothing passes, not even an infinite gradient does.
        return torch.where(factor == 0, 0, grads[0] * factor), None, None, *(None for _ in range(4))


def straight_through(value: Tensor, quantized: Tensor, inside: Tensor | None = None) -> Tensor:
    """Return ``quantized``; backward gives ``value`` the gradient where ``inside``, 0 elsewhere.

    Args:
        value: Tensor in floating point.
        quantized: Its quantized value, of the same shape, taken as a constant.
        inside: Where the gradient passes, bool, of the same shape; by default everywhere.

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


def estimate(value: Tensor, quantized: Tensor, cells: Cells, estimator: Estimator) -> Tensor:
    """Return ``quantized``; backward gives ``value`` the gradient times the estimator's factor.

    Args:
        value: Tensor in floating point.
        quantized: Its quantized value, of the same shape, taken as a constant.
        cells: Places of the values, without gradient.
        estimator: Entry of `ESTIMATORS`, or any function of its form.

    Returns:
        ``quantized``, with an estimated gradient of ``value``.

    >>> import torch
    >>> value = torch.tensor([0.5, 2.5], requires_grad=True)
    >>> where = value.detach()
    >>> cells = Cells(where, where - where.ceil() + 0.5, where <= 2, 2)
    >>> estimate(value, where.ceil().clamp(max=2), cells, ESTIMATORS.get("log")).sum().backward()
    >>> value.grad
    tensor([1.0000, 0.6667])
    """
    if estimator is clipped:  # the same gradient from one saved mask
        return straight_through(value, quantized, cells.inside)
    high = torch.as_tensor(cells.high, dtype=value.dtype, device=value.device)
    result: Tensor = _Estimated.apply(  # type: ignore[no-untyped-call]
        value, quantized, estimator, cells.value, cells.position, cells.inside, high
    )
    return result


def fake_quantize(weight: Tensor, grid: Grid, estimator: Estimator = clipped) -> Tensor:
    """Return the weight on its grid, in floating point, with an estimated gradient.

    By default the gradient is 1 inside the clipping range and 0 outside; inside means that rounding
    finds a code without clipping it to low..high. The scale counts as a constant even where it
    follows the weight (unlike Brevitas, which differentiates it).

    Args:
        weight: Weight [K, ...].
        grid: Levels of the weight.
        estimator: Entry of `ESTIMATORS`.

    Returns:
        The weight on its levels, same shape and dtype.

    >>> import torch
    >>> grid = Grid(torch.tensor([[0.5]]), torch.tensor([[0.0]]), -1, 1)
    >>> weight = torch.tensor([[0.1, 0.4, -2.0]], requires_grad=True)
    >>> fake_quantize(weight, grid)
    tensor([[ 0.0000,  0.5000, -0.5000]], grad_fn=<_StraightThroughBackward>)
    """
    with torch.no_grad():
        unclipped = grid.unclipped_codes(weight)
        codes = unclipped.clamp(grid.low, grid.high)
        quantized, inside = grid.values(codes), unclipped == codes
    if estimator is clipped:  # needs no places
        return straight_through(weight, quantized, inside)
    with torch.no_grad():
        steps = weight / grid.scale
        position = steps - (unclipped - grid.zero_point)
        cells = Cells(steps, position, inside, grid.high - grid.zero_point)
    return estimate(weight, quantized, cells, estimator)
