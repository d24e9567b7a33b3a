"""Layers from plain numbers, for importers that read them from a graph of any format.

Axes are counted with the batch as 0. What no layer computes raises `Refused`, whose message says
what was found and expected but not where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from snnquant.nn.kinds import (
    ADAPTIVE_AVERAGES,
    ADAPTIVE_MAXIMA,
    BATCH_NORMS,
    CONVOLUTIONS,
    PADS,
    SLIDING_AVERAGES,
    SLIDING_MAXIMA,
)
from snnquant.nn.wiring import Concatenate, Mean, Permute, Reshape, Sum

BY_AXES: dict[str, tuple[type[nn.Module], ...]] = {
    "conv": CONVOLUTIONS,
    "batch_norm": BATCH_NORMS,
    "avg_pool": SLIDING_AVERAGES,
    "max_pool": SLIDING_MAXIMA,
    "adaptive_avg_pool": ADAPTIVE_AVERAGES,
    "adaptive_max_pool": ADAPTIVE_MAXIMA,
}
"""Layers for one, two and three axes after the channels, by the names of torch's functions."""


class Refused(ValueError):
    """An operation that no layer here computes; the message lacks the operation's name."""


def for_axes(kind: str, shape: Sequence[int], *settings: Any, **named: Any) -> nn.Module:
    """Make a layer of `BY_AXES` for inputs of `shape`, which counts batch and channels."""
    axes = len(shape) - 2
    if not 1 <= axes <= 3:
        raise Refused(f"found an input of shape {tuple(shape)}, expected 3 to 5 axes")
    return BY_AXES[kind][axes - 1](*settings, **named)


def clamp(low: float | None, high: float | None) -> nn.Module:
    """Make the layer that limits values to `low` and `high`, where these are not None."""
    if low == 0 and high is None:
        return nn.ReLU()
    return nn.Hardtanh(-math.inf if low is None else low, math.inf if high is None else high)


def reshape(before: Sequence[int], after: Sequence[int]) -> nn.Module:
    """Make the layer that turns values of shape `before` into `after`; both count the batch."""
    if before[0] != after[0]:
        found = f"found the shape {tuple(after)} for a batch of {before[0]}"
        raise Refused(f"{found}, expected the batch as the first axis")
    return Reshape(after[1:])


def permute(axes: Sequence[int]) -> nn.Module:
    """Make the layer that puts the axes in another order, the batch first."""
    order = [axis % len(axes) for axis in axes]
    if order[0] != 0:
        raise Refused(f"found the axes in the order {order}, expected the batch first")
    return Permute(order)


def mean(ndim: int, axes: Sequence[int], keep: bool) -> nn.Module:
    """Make the mean over `axes` of values of `ndim` axes."""
    reduced = sorted(axis % ndim for axis in axes)
    if not reduced or reduced[0] == 0:
        raise Refused(f"found the axes {reduced}, expected some without 0, the batch")
    return Mean(reduced, keep)


def concatenate(ndim: int, axis: int) -> nn.Module:
    """Make the concatenation along an axis of values of `ndim` axes."""
    if axis % ndim == 0:
        raise Refused("found axis 0, the batch, expected another")
    return Concatenate(axis % ndim)


def zero_pad(padding: Sequence[int]) -> nn.Module:
    """Make the padding with zeros before and after each axis, the last axis first."""
    kind: type[Any] = PADS[min(len(padding) // 2, len(PADS)) - 1]  # all take any number of axes
    layer: nn.Module = kind(tuple(padding))
    return layer


def per_channel(
    shape: Sequence[int], axis: int
) -> tuple[list[nn.Module], nn.Module, list[nn.Module]]:
    """Make the layers that scale and shift every place of an axis of values of `shape`.

    The middle one, a convolution with a group per place, has the factors and the terms.
    """
    if axis % len(shape) == 0:
        raise Refused("found axis 0, the batch, expected another")
    length, before, after = shape[axis], list[nn.Module](), list[nn.Module]()
    order = [0, axis, *(i for i in range(1, len(shape)) if i != axis)]
    if axis != 1:
        before.append(Permute(order))
        after.append(Permute([order.index(i) for i in range(len(shape))]))
    moved = [shape[i] for i in order]
    if len(shape) == 2:
        before.append(Reshape([length, 1]))
        after.insert(0, Reshape([length]))
        moved.append(1)
    return before, for_axes("conv", moved, length, length, 1, groups=length), after


def weighted_sum(*weights: float) -> nn.Module:
    """Make the sum of as many inputs as there are weights, each times its weight."""
    return Sum([float(weight) for weight in weights])
