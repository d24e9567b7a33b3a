"""Grids of integer networks: scales that are powers of two, and biases that are multiples."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.fixed_grid import StoredScaleWeight

FRACTION_BITS = 8
"""Fractional bits of a bias below the step of its layer's weights, and of an activation's step."""
EXPONENTS = 6
"""Powers of two that a search tries, down from the one that reaches the largest value."""


class ShiftedWeight(StoredScaleWeight):
    """Weight on 2^b - 1 levels around 0, with one step per layer, a power of two.

    Attribute `on` is False while the layer still computes in floating point.

    >>> quantizer = ShiftedWeight(torch.tensor([[0.9, -0.4]]), bits=3)
    >>> quantizer(torch.tensor([[0.9, -0.4]])), quantizer.scale
    (tensor([[ 1.0000, -0.5000]]), tensor([[0.5000]]))
    """

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__(bits, weight.detach().new_ones((1,) * weight.ndim))
        self.on = True
        self.lay(weight)

    @torch.no_grad()
    def lay(self, weight: Tensor) -> None:
        """Choose the step of min squared error for a weight."""
        high = 2 ** (self.bits - 1) - 1
        self.scale.fill_(closest_step(weight, -high, high))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its grid, same shape and dtype; itself while not `on`."""
        return super().forward(weight) if self.on else weight


@torch.no_grad()
def closest_step(values: Tensor, low: int, high: int) -> float:
    """Return the power of two whose codes low..high leave the min squared error.

    Args:
        values: Values of any shape.
        low: Smallest code.
        high: Largest code.

    >>> closest_step(torch.tensor([0.9, -0.4]), -3, 3)
    0.5
    """
    largest = float(values.abs().max()) if values.numel() else 0.0
    if largest == 0 or not math.isfinite(largest):
        return 1.0
    top = math.ceil(math.log2(largest / high))
    steps = [2.0 ** (top - i) for i in range(EXPONENTS)]
    errors = [
        float((values - (values / step).round().clamp(low, high) * step).square().sum())
        for step in steps
    ]
    return steps[errors.index(min(errors))]


@torch.no_grad()
def lay_activation(relu: QuantizedReLU, values: Tensor) -> None:
    """Set the ceiling of a ReLU so that its step is the power of two closest to values.

    >>> relu = QuantizedReLU(bits=2)
    >>> lay_activation(relu, torch.tensor([1.0, 2.0, 3.0]))
    >>> float(relu.step)
    1.0
    """
    step = max(closest_step(values.clamp(min=0), 0, relu.high), 2.0**-FRACTION_BITS)
    relu.ceiling.fill_(step * relu.high)


@torch.no_grad()
def round_constants(layer: nn.Module, neuron: nn.Module | None) -> None:
    """Round a layer's bias and its neurons' threshold to multiples of its weights' step.

    A threshold is an even multiple, so that half of it is whole too.
    """
    quantizer: ShiftedWeight = layer.parametrizations.weight[0]  # type: ignore[assignment, union-attr, index]
    unit = float(quantizer.scale) / 2**FRACTION_BITS
    bias = getattr(layer, "bias", None)
    if bias is not None:
        bias.copy_((bias / unit).round() * unit)
    if neuron is not None:
        threshold = neuron.get_parameter("threshold")
        even = 2 * unit
        threshold.copy_((threshold / even).round().clamp(min=1) * even)
