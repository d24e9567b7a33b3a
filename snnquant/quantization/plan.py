"""Quantizers as parametrizations, and the plan that puts them on a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization.grids import Grid


class Quantizer(nn.Module):
    """Base of the modules between a parameter in floating point and its users.

    Subclasses override `forward`, which maps the parameter to its quantized value of the same shape
    and dtype. Its gradient trains the parameter underneath. What a quantizer finds or learns is in
    its buffers and parameters, so that a checkpoint carries it.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits


class WeightQuantizer(Quantizer):
    """Base of the quantizers of a weight [K, ...] of K output channels.

    Args:
        bits: Bits per weight.

    >>> import torch
    >>> class Sign(WeightQuantizer):
    ...     def forward(self, weight):
    ...         return straight_through(weight, weight.sign(), weight.abs() <= 1)
    >>> from snnquant.quantization import straight_through
    >>> Sign(bits=2)(torch.tensor([[0.3, -2.0]]))
    tensor([[ 1., -1.]])
    """

    def grid(self, weight: Tensor) -> Grid:
        """Return the uniform grid that the quantized weight lies on.

        Integer weights are read from it: exports with integer codes and the integer engine need it.

        Args:
            weight: Weight in floating point, [K, ...].

        Raises:
            InputError: The levels are on no uniform grid; the default.
        """
        raise InputError(
            f"{type(self).__name__}: found weights on no uniform grid, expected integer codes "
            "with a scale, as --quantization uniform has them"
        )

    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Prepare, in place, for a weight whose output channels are multiplied by factors.

        Afterwards `forward(weight * factors)` is the earlier `forward(weight)` times the factors.

        Args:
            weight: Weight in floating point, [K, ...], not multiplied yet.
            factors: Factor per output channel, [K, 1, ...], of either sign.

        Raises:
            InputError: The levels cannot follow; the default.
        """
        raise InputError(
            f"{type(self).__name__}: found output channels that cannot be rescaled, expected "
            "--no-snn-batch-norm"
        )


@dataclass(frozen=True)
class LayerPlace:
    """Layer that a weight belongs to."""

    name: str
    """Name of the module in the network, such as `layers.conv1`; empty for the network itself."""
    kind: str
    """Kind of the module: conv1d, conv2d, conv3d or linear."""


@dataclass(frozen=True)
class Plan:
    """Quantizers that a method puts on a network.

    >>> from snnquant.quantization import QuantizationConfig
    >>> plan = QuantizationConfig(neuron_bits=8).plan()
    >>> sorted(plan.neuron)
    ['leak', 'threshold']
    """

    weight: Callable[[Tensor, LayerPlace], WeightQuantizer]
    """Makes the quantizer of a weight [K, ...], for every convolution and dense layer."""
    neuron: Mapping[str, Callable[[], Quantizer]] = field(default_factory=dict)
    """Makes the quantizers of a neuron's parameters by their names; others keep floating point."""
