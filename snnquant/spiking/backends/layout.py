"""Sequences [T, N, ...] as contiguous [T, M] and back, avoiding copies where possible."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor


@lru_cache(maxsize=256)
def _dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[list[int], list[int], int]:
    """Return the axes as they lie in memory, their strides without gaps, and the values per step.

    Of a sequence [T, N, ...]; the strides are those of N, ...
    """
    axes = [0, *sorted(range(1, len(shape)), key=lambda axis: -strides[axis])]
    dense, size = [0] * len(shape), 1
    for axis in reversed(axes[1:]):
        dense[axis] = size
        size *= shape[axis]
    return axes, dense[1:], size


class Order:
    """The order in which a current [T, N, ...] lies in memory, which its spikes keep.

    Neurons do not depend on their neighbours, but the next layer may: channels that come last
    stay last, and nothing is copied.
    """

    def __init__(self, current: Tensor) -> None:
        self.shape = current.shape[1:]
        self.axes, self.strides, self.size = _dense(current.shape, current.stride())

    def steps(self, x: Tensor) -> Tensor:
        """Return a tensor [T, N, ...] as a contiguous [T, M]."""
        hop, *strides = x.stride()
        if strides == self.strides and (hop == self.size or x.shape[0] == 1):
            return x.detach().as_strided((x.shape[0], self.size), (self.size, 1))
        return x.detach().permute(self.axes).flatten(1).contiguous()

    def state(self, x: Tensor) -> Tensor:
        """Return a tensor [N, ...] as a contiguous [M]."""
        return self.steps(x[None])[0]

    def shared(self, x: Tensor) -> Tensor:
        """Return a tensor [N, ...] as a contiguous [M], or [1] where it is a view of one value."""
        return self.state(x) if any(x.stride()) else x.detach().as_strided((1,), (1,))

    def source(self, x: Tensor) -> Tensor:
        """Return a tensor [T, N, ...] as [T, M], or [1, M] where it is a view that repeats."""
        return self.steps(x[:1] if x.stride(0) == 0 else x)

    def restore(self, x: Tensor) -> Tensor:
        """Return a contiguous tensor [T, M] as [T, N, ...] again."""
        return x.as_strided((x.shape[0], *self.shape), (self.size, *self.strides))

    def restore_state(self, x: Tensor) -> Tensor:
        """Return a contiguous tensor [M] as [N, ...] again."""
        return x.as_strided(self.shape, self.strides)
