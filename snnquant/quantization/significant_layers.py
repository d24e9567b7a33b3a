"""Significant layers by principal components: those that add dimensions to what came before.

A layer's K is the number of components that explain a share of the variance of its outputs before
the activation, rows of all inputs and places by channels. A layer is significant where K grows by
more than delta. Layers of other widths are compared by K over the width, as K cannot exceed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from snnquant.errors import InputError


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the rows of a layer's outputs, from which their covariance follows.

    >>> rows = torch.tensor([[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]])
    >>> moments = Moments.of_width(2)
    >>> moments.add_(rows)
    >>> int(moments.count), components(moments.covariance(), explained=0.999)
    (3, 1)
    """

    count: Tensor
    """Number of rows, float64 []."""
    sums: Tensor
    """Sum of the rows, float64 [K]."""
    products: Tensor
    """Sum of the rows' outer products, float64 [K, K]."""

    @classmethod
    def of_width(cls, width: int, device: torch.device | None = None) -> Moments:
        """Return moments of no rows of `width` channels."""
        shapes: tuple[tuple[int, ...], ...] = ((), (width,), (width, width))
        return cls(*(torch.zeros(s, dtype=torch.float64, device=device) for s in shapes))

    @torch.no_grad()
    def add_(self, rows: Tensor) -> None:
        """Add rows [R, K]."""
        rows = rows.double()
        self.count.add_(len(rows))
        self.sums.add_(rows.sum(0))
        self.products.add_(rows.T @ rows)

    def covariance(self) -> Tensor:
        """Return the covariance of the channels, [K, K]."""
        mean = self.sums / self.count
        return self.products / self.count - torch.outer(mean, mean)


def channel_rows(values: Tensor) -> Tensor:
    """Return a layer's outputs [N, K, ...] as rows of every input and place by channels, [R, K].

    >>> channel_rows(torch.zeros(2, 3, 4, 5)).shape
    torch.Size([40, 3])
    """
    return values.movedim(1, -1).flatten(0, -2)


def components(covariance: Tensor, explained: float) -> int:
    """Return the number of principal components that explain a share of the variance.

    Args:
        covariance: Covariance of the channels, [K, K].
        explained: Share, above 0 and below 1.

    Returns:
        Number of components, 0 where nothing varies.

    Raises:
        InputError: The covariance is not finite, as that of a training that diverged.

    >>> components(torch.diag(torch.tensor([90.0, 9.0, 1.0])), explained=0.99)
    2
    """
    if not covariance.isfinite().all():
        raise InputError("principal components: found outputs of a layer that are not finite")
    variances = torch.linalg.eigvalsh(covariance).flip(0).clamp(min=0)
    if not variances.any():
        return 0
    shares = variances.cumsum(0) / variances.sum()
    return int((shares < explained).sum()) + 1


class LayerDimensions(NamedTuple):
    """A layer with the dimensions of its outputs."""

    name: str
    components: int
    width: int


def significant_layers(layers: Sequence[LayerDimensions], delta: float, compare: str) -> list[str]:
    """Return the layers that add more than `delta` to the dimensions of the layer before.

    Args:
        layers: Layers in the order in which they run; the first has none before it and is not
            among the results.
        delta: Components, or with "share" their share of the width, that a layer has to add.
        compare: `share` compares components over the width, `count` their number.

    >>> layers = [LayerDimensions(*row) for row in (("a", 3, 8), ("b", 6, 8), ("c", 9, 16))]
    >>> significant_layers(layers, 0, "share"), significant_layers(layers, 0, "count")
    (['b'], ['b', 'c'])
    """
    found = []
    for before, layer in pairwise(layers):
        scales = (before.width, layer.width) if compare == "share" else (1, 1)
        if layer.components / scales[1] - before.components / scales[0] > delta:
            found.append(layer.name)
    return found


def require_rows(name: str, moments: Moments, per_channel: float) -> None:
    """Raise `InputError` where a layer has too few rows for its components to be known.

    Args:
        name: Name of the layer.
        moments: Its rows.
        per_channel: Rows per channel that are needed.
    """
    needed, found = per_channel * len(moments.sums), int(moments.count)
    if found < needed:
        raise InputError(
            f"layer {name}: found {found} outputs per channel for its components, expected at "
            f"least {needed:.0f}, {per_channel:g} for each channel"
        )
