"""Parts of a method: quantizers as parametrizations, passes, and the plan that holds them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization.codes import Codes, Uniform
from snnquant.quantization.grids import Grid
from snnquant.quantization.rules import Rule


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

    def encode(self, weight: Tensor) -> Codes:
        """Return the codes of the quantized weight, which decode to `forward(weight)` bit for bit.

        Exports with integer codes and the integer engine read them.

        Args:
            weight: Weight in floating point, [K, ...].

        Raises:
            InputError: The quantizer has no codes; the default.
        """
        raise InputError(
            f"{type(self).__name__}: found a quantizer without codes, expected one that encodes "
            "its weights, as --quantization uniform does"
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


class UniformQuantizer(WeightQuantizer):
    """Base of the quantizers whose levels are on a uniform grid; subclasses override `grid`."""

    @abstractmethod
    def grid(self, weight: Tensor) -> Grid:
        """Return the grid of a weight in floating point, [K, ...]."""

    @torch.no_grad()
    def encode(self, weight: Tensor) -> Uniform:
        """Return codes as int8, or as uint8 where none is negative; int32 zero points."""
        grid = self.grid(weight)
        dtype = torch.int8 if grid.low < 0 else torch.uint8
        codes = grid.codes(weight).to(dtype)
        return Uniform(codes, grid.scale, grid.zero_point.to(torch.int32))


class ErrorQuantizer:
    """Base of the quantizers of errors, which are the gradients at the outputs of layers.

    Outputs stay as they are. Random numbers of `quantize` are torch's own, whose seed a training
    sets for every epoch, so that a stopped one resumes bit for bit.

    >>> class Sign(ErrorQuantizer):
    ...     def quantize(self, error):
    ...         return error.sign() * error.abs().mean()
    >>> Sign(bits=1).quantize(torch.tensor([[0.5, -1.5]]))
    tensor([[ 1., -1.]])
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits

    @abstractmethod
    def quantize(self, error: Tensor) -> Tensor:
        """Return an error [N, ...] on its levels, of the same shape and dtype.

        On an SNN, the first axis of layers after neurons holds all steps of all samples.
        """


Role: TypeAlias = Literal["first", "last", "shortcut", "depthwise", "pointwise", "other"]
"""Part that a layer plays in its network.

A shortcut projects the input of a residual block; it is known by its name, which begins with
`shortcut` or `downsample`.
"""


@dataclass(frozen=True)
class LayerPlace:
    """Layer that a weight or an activation belongs to."""

    name: str
    """Name of the module in the network, such as `layers.conv1`; empty for the network itself."""
    kind: str
    """Kind of the module: conv1d, conv2d, conv3d, linear, relu or norm."""
    role: Role = "other"
    """Part in the network; of several that fit, the first in the order of `Role`."""


@dataclass(frozen=True)
class Calibration:
    """Training pixels that passes look at.

    >>> Calibration(torch.zeros(8, 1, 20, 3, 3)).classes is None
    True
    """

    inputs: Tensor
    """Patches [N, 1, B, h, w], normalised as the network expects them."""
    classes: Tensor | None = None
    """Class numbers from 0, int64 [N]; None where they are unknown."""


ErrorMaker: TypeAlias = Callable[[LayerPlace], ErrorQuantizer]
"""Makes the quantizer of the errors at the output of a convolution or dense layer."""
OptimizerMaker: TypeAlias = Callable[[nn.Module, float, float], torch.optim.Optimizer]
"""Makes an optimizer from a network, the peak learning rate and the weight decay.

Each of its parameter groups starts with its own peak as `lr`, which the schedule scales. The state
of a parameter is tensors of the parameter's dtype, and `step`.
"""
Pass: TypeAlias = Callable[[nn.Module, Calibration], None]
"""Changes a network in place, once; what it finds is left in parameters and buffers."""


@dataclass(frozen=True)
class Plan:
    """Parts of a quantization method, all optional.

    Loading a checkpoint puts the quantizers on and runs no pass: the shapes of all parameters and
    buffers follow from options and network.

    >>> from snnquant.quantization import QuantizationConfig
    >>> plan = QuantizationConfig(neuron_bits=8).plan()
    >>> sorted(plan.neuron), plan.hooks
    (['leak', 'threshold'], ('quantizer',))
    """

    weight: Callable[[Tensor, LayerPlace], WeightQuantizer] | None = None
    """Makes the quantizer of a weight [K, ...], for every convolution and dense layer."""
    neuron: Mapping[str, Callable[[], Quantizer]] = field(default_factory=dict)
    """Makes the quantizers of a neuron's parameters by their names; others keep floating point."""
    activation: Callable[[LayerPlace], nn.ReLU] | None = None
    """Makes the layer that stands in for a ReLU of a CNN; SNNs have none."""
    norm: Callable[[nn.Module, LayerPlace], nn.Module] | None = None
    """Makes the layer that stands in for a batch norm, with the norm's state."""
    error: ErrorMaker | None = None
    """Makes the quantizers of errors, for every convolution and dense layer."""
    before: tuple[Pass, ...] = ()
    """Passes on the network in floating point, before its quantizers are put on."""
    after: tuple[Pass, ...] = ()
    """Passes on the quantized network, after its training."""
    rules: tuple[Callable[[nn.Module], Rule], ...] = ()
    """Makes the rules of a training, for a network whose quantizers are on."""
    optimizer: OptimizerMaker | None = None
    """Makes the optimizer of a training, AdamW by default."""
    trains: bool = True
    """True to train the quantized network; otherwise it is quantized after its training."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Training options that the method needs, such as `weight_decay`."""

    @property
    def hooks(self) -> tuple[str, ...]:
        """Kinds of hook that the method uses: quantizer, error, pass, rule, optimizer."""
        used = {
            "quantizer": self.weight or self.neuron or self.activation or self.norm,
            "error": self.error,
            "pass": self.before or self.after,
            "rule": self.rules,
            "optimizer": self.optimizer,
        }
        return tuple(kind for kind, part in used.items() if part)
