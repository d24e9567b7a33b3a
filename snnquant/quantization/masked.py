"""Weights on a uniform grid with a mask of those that are left."""

from __future__ import annotations

import torch
from torch import Tensor

from snnquant.config import QuantizationConfig
from snnquant.quantization.codes import Uniform
from snnquant.quantization.grids import Grid
from snnquant.quantization.uniform import QuantizedWeight


class MaskedWeight(QuantizedWeight):
    """Weight on a symmetric grid per channel; zeros that it is made with stay zeros in training.

    Args:
        weight: Pruned weight in floating point, [K, ...].
        bits: Bits per weight.
        error: Bound on the relative error that the pruning made in the layer's outputs.

    >>> quantizer = MaskedWeight(torch.tensor([[0.7, 0.0, -0.1]]), bits=4)
    >>> quantizer(torch.tensor([[0.7, 0.7, -0.2]]))
    tensor([[ 0.7000,  0.0000, -0.2000]])
    >>> quantizer
    MaskedWeight(bits=4, 2 of 3 weights left)
    """

    mask: Tensor
    error: Tensor

    def __init__(self, weight: Tensor, bits: int, error: float = 0.0) -> None:
        super().__init__(weight, QuantizationConfig(bits=bits))
        self.register_buffer("mask", (weight.detach() != 0).to(weight.dtype))
        self.register_buffer("error", torch.tensor(error))

    def grid(self, weight: Tensor) -> Grid:
        """Return the grid for the weights that are left, [K, ...]."""
        return super().grid(weight * self.mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight on its grid; no gradient reaches a removed weight."""
        return super().forward(weight * self.mask)

    def encode(self, weight: Tensor) -> Uniform:
        """Return the codes; that of a removed weight is 0."""
        return super().encode(weight * self.mask)

    def extra_repr(self) -> str:
        """Return bits, weights left and any error bound, for ``print(model)``."""
        left = f"bits={self.bits}, {int(self.mask.sum())} of {self.mask.numel()} weights left"
        bound = f", relative error <= {self.error.item():.3g}" if self.error else ""
        return left + bound
