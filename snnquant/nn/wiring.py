"""Layers that connect others: sums, concatenations and changes of shape, all linear.

Every module takes values [N, ...] whose first axis is the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Sum(nn.Module):
    """A CNN's sum of its inputs, each times a fixed number, as arithmetic that can be traced.

    The numbers belong to the architecture; in the SNN a `WeightedSum` takes its place.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = tuple(weights)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Sum over the inputs, of shapes that broadcast."""
        terms = [
            x if weight == 1 else x * weight for weight, x in zip(self.weights, inputs, strict=True)
        ]
        total, *others = terms
        for term in others:
            total = total + term
        return total

    def extra_repr(self) -> str:
        """Return the weights, for ``print(model)``."""
        return f"weights={self.weights}"


class WeightedSum(nn.Module):
    """An SNN's sum of its inputs, with weights that are saved with the network.

    Spikes of a layer with threshold V stand for V each; the conversion multiplies the weight by
    that V where no synapse lies between.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Sum over the inputs, of shapes that broadcast."""
        first, *others = inputs
        total = first * self.weights[0]
        for weight, x in zip(self.weights[1:], others, strict=True):
            total = total + x * weight
        return total


class Concatenate(nn.Module):
    """Concatenation of the inputs along `axis`, which is not the batch."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *inputs: Tensor) -> Tensor:
        """Concatenate the inputs in the order in which they are given."""
        return torch.cat(inputs, self.axis)

    def extra_repr(self) -> str:
        """Return the axis, for ``print(model)``."""
        return f"axis={self.axis}"


class Reshape(nn.Module):
    """Change of a sample's shape to `shape`, which leaves the batch out."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Reshape [N, ...] to [N, *shape]."""
        return x.reshape(x.shape[0], *self.shape)

    def extra_repr(self) -> str:
        """Return the shape of a sample, for ``print(model)``."""
        return f"shape={self.shape}"


class Permute(nn.Module):
    """Change of the order of axes; `axes` counts the batch, which stays 0."""

    def __init__(self, axes: Sequence[int]) -> None:
        super().__init__()
        self.axes = tuple(axes)

    def forward(self, x: Tensor) -> Tensor:
        """Permute the axes of x; a view."""
        return x.permute(self.axes)

    def extra_repr(self) -> str:
        """Return the order, for ``print(model)``."""
        return f"axes={self.axes}"


class Mean(nn.Module):
    """Mean over `axes`, which count the batch as 0 and do not include it."""

    def __init__(self, axes: Sequence[int], keep: bool) -> None:
        super().__init__()
        self.axes = tuple(axes)
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        """Reduce the axes of x, or keep them with length 1."""
        return x.mean(self.axes, keepdim=self.keep)

    def extra_repr(self) -> str:
        """Return the axes, for ``print(model)``."""
        return f"axes={self.axes}, keep={self.keep}"


class PopulationMean(Mean):
    """Mean over `size` neighbouring channels: the score of a class with that many neurons."""

    def __init__(self, size: int) -> None:
        super().__init__((2,), keep=False)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Reduce channels [N, size C, ...] to [N, C, ...]."""
        return self.grouped(x).mean(2)

    def grouped(self, x: Tensor) -> Tensor:
        """Return [N, size C, ...] as [N, C, size, ...]."""
        return x.reshape(x.shape[0], -1, self.size, *x.shape[2:])

    def matrix(self, channels: int) -> Tensor:
        """Return the weights [C, size C] of the dense layer that computes the same."""
        return torch.eye(channels // self.size).repeat_interleave(self.size, 1) / self.size

    def extra_repr(self) -> str:
        """Return the size, for ``print(model)``."""
        return f"size={self.size}"


class Reshaped(nn.Module):
    """A network of patches [N, 1, B, h, w] around one that takes them in another layout.

    `layout` is one of `LAYOUTS`; of a network that returns several tensors, `output` is the place
    of its logits.
    """

    def __init__(self, network: nn.Module, layout: str, output: int | None = None) -> None:
        super().__init__()
        self.network = network
        self.reshape = LAYOUTS[layout]()
        self.output = output

    def forward(self, patches: Tensor) -> Tensor:
        """Compute the logits [N, K] of patches [N, 1, B, h, w]."""
        logits: Any = self.network(self.reshape(patches))
        if self.output is not None:
            logits = logits[self.output]
        return logits  # type: ignore[no-any-return]


def _steps(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


LAYOUTS: dict[str, Any] = {
    "N, 1, bands, window, window": nn.Identity,
    "N, bands, window, window": lambda: nn.Flatten(1, 2),
    "N, 1, bands": lambda: nn.Flatten(2),
    "N, bands": nn.Flatten,
    "N, window, window, bands, 1": lambda: Permute((0, 3, 4, 2, 1)),
    "N, window, window, bands": lambda: _steps(nn.Flatten(1, 2), Permute((0, 2, 3, 1))),
    "N, bands, 1": lambda: _steps(nn.Flatten(2), Permute((0, 2, 1))),
    "N, 1, window, window, bands": lambda: Permute((0, 1, 3, 4, 2)),
    "N, bands, window, window, 1": lambda: Permute((0, 2, 3, 4, 1)),
    "N, 1, bands, pixels": lambda: nn.Flatten(3),
    "N, 1, pixels, bands": lambda: _steps(nn.Flatten(3), Permute((0, 1, 3, 2))),
    "N, bands, pixels": lambda: _steps(nn.Flatten(3), nn.Flatten(1, 2)),
    "N, pixels, bands": lambda: _steps(nn.Flatten(3), nn.Flatten(1, 2), Permute((0, 2, 1))),
    "N, bands x window x window": nn.Flatten,
    "N, window x window x bands": lambda: _steps(Permute((0, 3, 4, 2, 1)), nn.Flatten()),
}
"""Layouts in which networks take a patch; `pixels` are the window's, row by row."""
