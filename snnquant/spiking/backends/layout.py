"""Sequences [T, N, ...] as contiguous [T, M] and back, avoiding copies where possible."""

from __future__ import annotations

from torch import Tensor


class Order:
    """The order in which a current [T, N, ...] lies in memory, which its spikes keep.

    Neurons do not depend on their neighbours, but the next layer may: channels that come last
    stay last, and nothing is copied.
    """

    def __init__(self, current: Tensor) -> None:
        strides = current.stride()
        self.shape = current.shape
        self.axes = [0, *sorted(range(1, current.ndim), key=lambda axis: -strides[axis])]

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
        shape = [len(x), *(self.shape[axis] for axis in self.axes[1:])]
        return x.view(shape).permute([self.axes.index(axis) for axis in range(len(shape))])
