"""Sequences [T, N, ...] as contiguous [T, M] and back, avoiding copies where possible."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor


@lru_cache(maxsize=256)
def _axes(strides: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return the axes of a tensor as they lie in memory, the first one first, and their inverse."""
    axes = [0, *sorted(range(1, len(strides)), key=lambda axis: -strides[axis])]
    return axes, [axes.index(axis) for axis in range(len(axes))]


class Order:
    """The order in which a current [T, N, ...] lies in memory, which its spikes keep.

    Neurons do not depend on their neighbours, but the next layer may: channels that come last
    stay last, and nothing is copied.
    """

    def __init__(self, current: Tensor) -> None:
        shape = current.shape
        self.axes, self.inverse = _axes(current.stride())
        self.shape = [shape[axis] for axis in self.axes[1:]]

    def steps(self, x: Tensor) -> Tensor:
        """Return a tensor [T, N, ...] as a contiguous [T, M]."""
        return x.detach().permute(self.axes).flatten(1).contiguous()

    def state(self, x: Tensor) -> Tensor:
        """Return a tensor [N, ...] as a contiguous [M]."""
        return self.steps(x[None])[0]

    def shared(self, x: Tensor) -> Tensor:
        """Return a tensor [N, ...] as a contiguous [M], or [1] where it is a view of one value."""
        return self.state(x) if any(x.stride()) else x.detach().as_strided((1,), (1,))

    def copied(self, x: Tensor) -> Tensor:
        """Return a tensor [N, ...] as a contiguous [M] in its own memory."""
        source = x.detach()[None].permute(self.axes)
        return x.new_empty(source.shape).copy_(source).view(-1)

    def source(self, x: Tensor) -> Tensor:
        """Return a tensor [T, N, ...] as [T, M], or [1, M] where it is a view that repeats."""
        return self.steps(x[:1] if x.stride(0) == 0 else x)

    def restore(self, x: Tensor) -> Tensor:
        """Return a tensor [T, M] as [T, N, ...] again."""
        return x.view(x.shape[0], *self.shape).permute(self.inverse)
