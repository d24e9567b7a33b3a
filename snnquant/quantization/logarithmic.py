r"""Logarithmic numbers and Madam, the multiplicative descent on them, after LNS-Madam.

With b bits, a number is :math:`\pm s \, 2^{-e / \gamma}` with whole :math:`0 \le e < 2^{b-1}`. A
step at the rate :math:`\eta` on weights of :math:`\gamma_U` exponents per factor 2 is whole, too:

.. math:: e \leftarrow e + \mathrm{sgn}(w) \, \mathrm{round}(\gamma_U \eta g^*)

where :math:`g^*` is the gradient over the root of its mean square, a whole number from -10 to 10.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.quantization.api import latent_weights
from snnquant.quantization.codes import Logarithmic
from snnquant.quantization.descent import WeightDescent
from snnquant.quantization.estimators import straight_through
from snnquant.quantization.plan import ErrorQuantizer, Plan, WeightQuantizer

HEADROOM = 3.0
"""Largest size that weights may grow to, over the root of their mean square at the start."""
MAX_STEP = 10
"""Largest gradient over the root of its mean square."""
MEMORY = 0.999
"""Share of the mean square of the gradient that a step keeps."""
SILENT = 1e-30
"""Scale of a channel that is multiplied by 0: the weight is divided by it."""


def steps_per_octave(bits: int) -> int:
    """Return gamma, the exponents per factor 2 of numbers of b bits.

    >>> [steps_per_octave(bits) for bits in (3, 4, 6, 8)]
    [1, 1, 2, 8]
    """
    return int(max(1, 2 ** (bits - 5)))


def exponents(values: Tensor, scale: Tensor, bits: int, steps: int) -> Tensor:
    """Return the exponents nearest to values, whole numbers in their dtype and shape.

    Args:
        values: Values of any shape.
        scale: Largest size, broadcast against the values.
        bits: Bits per number.
        steps: Exponents per factor 2.

    >>> exponents(torch.tensor([1.0, -0.5, 0.26, 0.0]), torch.ones(()), 4, 1).int().tolist()
    [0, 1, 2, 7]
    """
    found = (values.abs() / scale).log2().mul_(-steps).round_()
    return found.clamp_(0, 2 ** (bits - 1) - 1)


class LogWeight(WeightQuantizer):
    """Weight in logarithmic numbers, with a straight-through gradient; zeros stay zeros.

    The buffer ``scale`` is the size of exponent 0: three times the root mean square of the weight
    that the quantizer is made for, or its largest one.

    Args:
        weight: That weight, [K, ...].
        bits: Bits per weight.

    >>> LogWeight(torch.tensor([[2.0, 1.0]]), bits=4)(torch.tensor([[1.3, -0.6]])).shape
    torch.Size([1, 2])
    """

    scale: Tensor

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__(bits)
        self.steps = steps_per_octave(bits)
        size = weight.detach().abs()
        largest = torch.maximum(size.amax(), HEADROOM * size.square().mean().sqrt())
        shape = (len(weight), *(1 for _ in weight.shape[1:]))
        scale = torch.where(largest > 0, largest, 1.0).to(weight)
        self.register_buffer("scale", scale.expand(shape).clone())

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its levels, same shape and dtype."""
        return straight_through(weight, self.encode(weight).decode())

    @torch.no_grad()
    def encode(self, weight: Tensor) -> Logarithmic:
        """Return signs, exponents and scale."""
        exponent = exponents(weight, self.scale, self.bits, self.steps)
        return Logarithmic(weight.sign(), exponent, self.scale, self.steps)

    @torch.no_grad()
    def scale_channels_(self, weight: Tensor, factors: Tensor) -> None:
        """Multiply the scales: exponents stay as they are; a factor 0 leaves next to nothing."""
        self.scale.mul_(torch.where(factors == 0, SILENT, factors.abs()))

    def extra_repr(self) -> str:
        """Return the bits, for ``print(model)``."""
        return f"bits={self.bits}, {self.steps} exponents per factor 2"


class LogError(ErrorQuantizer):
    """Errors in logarithmic numbers below the largest; zeros stay zeros.

    >>> LogError(4).quantize(torch.tensor([4.0, -1.1, 0.0]))
    tensor([ 4., -1.,  0.])
    """

    def quantize(self, error: Tensor) -> Tensor:
        """Return an error on its levels, same shape and dtype."""
        scale, steps = error.abs().amax(), steps_per_octave(self.bits)
        exponent = exponents(error, scale, self.bits, steps).nan_to_num_(0)
        return Logarithmic(error.sign(), exponent, scale, steps).decode()


class Madam(WeightDescent):
    """Multiplicative descent of weights in logarithmic numbers of more bits; AdamW on the rest.

    A factor moves no zero and turns no sign: biases, neurons, norms and weights that are all zero
    at the start stay on AdamW.

    Args:
        network: Network whose weights `LogWeight` quantizes.
        rate: Peak learning rate eta: a gradient of root mean square size changes a weight by the
            factor 2^-eta.
        weight_decay: A step multiplies a weight by e^(-eta decay).
        other_rate: Peak learning rate of AdamW.
        bits: Bits of the numbers that are stored.
    """

    def __init__(
        self, network: nn.Module, rate: float, weight_decay: float, other_rate: float, bits: int
    ) -> None:
        found = latent_weights(network, LogWeight).values()
        moved = {weight: quantizer for quantizer, weight in found if weight.any()}
        super().__init__(network, moved, rate, other_rate, weight_decay)
        self.bits = bits
        for parameter, quantizer in moved.items():
            self.steps = quantizer.steps * 2 ** (bits - quantizer.bits)
            state = self.state[parameter]
            state["scale"] = quantizer.scale.clone()
            state["exp_avg_sq"] = torch.zeros_like(parameter)

    def move_(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Add whole numbers to the exponents of a weight."""
        state, scale, rate = self.state[parameter], self.state[parameter]["scale"], group["lr"]
        state["exp_avg_sq"].lerp_(gradient.square(), 1 - MEMORY)
        mean = state["exp_avg_sq"] / (1 - MEMORY ** state["step"].item())
        # 0 / 0 where no gradient has ever arrived: such a weight stays.
        relative = (gradient / mean.sqrt()).nan_to_num_(0).clamp_(-MAX_STEP, MAX_STEP).round_()
        sign = parameter.sign()
        exponent = exponents(parameter, scale, self.bits, self.steps)
        exponent += (self.steps * rate * relative).round_() * sign
        exponent += round(self.steps * rate * group["weight_decay"] / math.log(2))
        exponent.clamp_(0, 2 ** (self.bits - 1) - 1)
        parameter.copy_(Logarithmic(sign, exponent, scale, self.steps).decode())


def plan(config: Any) -> Plan:
    """Return the quantizers of weights and errors, and Madam."""

    def descent(network: nn.Module, rate: float, weight_decay: float) -> Madam:
        return Madam(network, rate, weight_decay, config.other_rate, config.update_bits)

    return Plan(
        lambda weight, place: LogWeight(weight, config.bits),
        error=None if config.error_bits == 32 else lambda place: LogError(config.error_bits),
        optimizer=descent,
        recipe={"learning_rate": config.learning_rate, "weight_decay": config.weight_decay},
    )
