r"""8-bit training in fixed point, after EOQ: weights, activations, errors, gradients, updates.

With b bits, :math:`n = 2^{b-1}`, a range s that is a power of two and R the power of two nearest
to the largest value:

weight      s / n clamp(round(n w / s), 1 - n, n - 1)
activation  s / n clamp(round(n x / s), 0, 2 n - 1), of its own range
error       R / n clamp(round(n e / R), 1 - n, n - 1)
gradient    z = clamp(sr(n g / R), 1 - n, n - 1); sr rounds at random
momentum    m <- clamp(sr(mu m + (1 - mu) z), 1 - n, n - 1)
update      w <- w - s / n sr(lr m + lr decay n w / s), clamped to the weight's levels
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn.kinds import BATCH_NORMS, SYNAPSES
from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.api import weight_quantizer
from snnquant.quantization.descent import WeightDescent, at_random, nearest_power
from snnquant.quantization.fixed_grid import StoredScaleWeight
from snnquant.quantization.passes.fixup import fixup
from snnquant.quantization.plan import ErrorQuantizer, LayerPlace, Plan


def range_of(values: Tensor, kind: str) -> Tensor:
    """Return the range of values: 1, or the power of two at or above the largest size.

    Args:
        values: Values of any shape.
        kind: unit or layer.

    >>> range_of(torch.tensor([0.3, -2.5]), "layer"), range_of(torch.tensor([0.3]), "unit")
    (tensor(4.), tensor(1.))
    """
    one = torch.ones((), dtype=values.dtype, device=values.device)
    largest = values.detach().abs().amax()
    if kind == "unit" or not largest > 0:
        return one
    return torch.ldexp(one, largest.log2().ceil().int())


class FixedPointWeight(StoredScaleWeight):
    """Weight on multiples of its range over 2^(bits - 1), with a straight-through gradient.

    Args:
        weight: Weight that the quantizer is made for, [K, ...].
        bits: Bits per weight.
        kind: unit or layer, see `range_of`.

    >>> FixedPointWeight(torch.ones(1), 3, "unit")(torch.tensor([0.3, -0.9, 2.0]))
    tensor([ 0.2500, -0.7500,  0.7500])
    """

    def __init__(self, weight: Tensor, bits: int, kind: str) -> None:
        step = range_of(weight, kind) / 2 ** (bits - 1)
        super().__init__(bits, step.view([1] * weight.ndim).clone())


class FixedPointReLU(QuantizedReLU):
    """ReLU of b bits whose step is a power of two that stays.

    Args:
        bits: Bits per activation.
        kind: unit, step 2^(1 - bits), or layer, the smallest that holds the first activations.

    >>> relu = FixedPointReLU(3, "layer")
    >>> relu(torch.tensor([-1.0, 0.9, 3.3]))
    tensor([0.0000, 1.0000, 3.5000])
    """

    def __init__(self, bits: int, kind: str) -> None:
        super().__init__(bits)
        self.kind = kind
        self.ceiling.requires_grad_(False)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Set the step from the largest activation."""
        step = range_of(x.relu() / self.high, "layer")
        if self.kind == "unit":
            step = torch.full_like(step, 2.0 ** (1 - self.bits))
        self.ceiling.copy_(step * self.high)


class FixedPointError(ErrorQuantizer):
    """Errors in fixed point below the power of two nearest to the largest.

    >>> FixedPointError(3).quantize(torch.tensor([0.9, -0.3, 0.1]))
    tensor([ 0.7500, -0.2500,  0.0000])
    """

    def quantize(self, error: Tensor) -> Tensor:
        """Return an error on its levels, same shape and dtype."""
        levels = 2 ** (self.bits - 1)
        step: Tensor = nearest_power(error.abs().amax()) / levels
        codes: Tensor = (error / step).round_().clamp_(1 - levels, levels - 1)
        return codes * step


class FixedPointDescent(WeightDescent):
    """Descent of weights and biases that are stored in few bits, in steps of their grid.

    Args:
        network: Network whose weights `FixedPointWeight` quantizes.
        rate: Peak of the largest update, as a share of the range.
        weight_decay: Share of a weight that its update removes, per unit of the rate.
        config: Bits, range, momentum, rounding of updates, and AdamW's rate for neurons.

    Raises:
        InputError: The network has batch norm.
    """

    def __init__(self, network: nn.Module, rate: float, weight_decay: float, config: Any) -> None:
        for name, module in network.named_modules():
            if isinstance(module, BATCH_NORMS):
                raise InputError(
                    f"layer {name}: found {type(module).__name__}, expected a network without "
                    "batch norm for --quantization eoq: fold it, or --no-snn-batch-norm"
                )
        self.config = config
        self.levels = 2 ** (config.bits - 1)
        self.round = at_random if config.update == "stochastic" else torch.round
        steps: dict[nn.Parameter, Tensor] = {}
        synapses: list[Any] = [m for m in network.modules() if isinstance(m, SYNAPSES)]
        for synapse in synapses:
            quantizer = weight_quantizer(synapse)
            if isinstance(quantizer, FixedPointWeight):
                steps[synapse.parametrizations.weight.original] = quantizer.scale
            if synapse.bias is not None:
                steps[synapse.bias] = range_of(synapse.bias, config.range) / self.levels
        super().__init__(network, steps, rate, config.neuron_rate, weight_decay)
        for parameter, step in steps.items():
            state = self.state[parameter]
            state["grid"], state["momentum"] = step.clone(), torch.zeros_like(parameter)

    def move_(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Move a parameter by whole steps of its grid."""
        state, mu, high = self.state[parameter], self.config.momentum, self.levels - 1
        momentum, grid = state["momentum"], state["grid"]
        scale = nearest_power(gradient.abs().amax()) / self.levels
        direction = at_random(gradient / scale).clamp_(-high, high)
        momentum.copy_(at_random(mu * momentum + (1 - mu) * direction).clamp_(-high, high))
        codes = (parameter / grid).round_().clamp_(-high, high)
        update = group["lr"] * (momentum + group["weight_decay"] * codes)
        parameter.copy_((codes - self.round(update)).clamp_(-high, high) * grid)


def plan(config: Any) -> Plan:
    """Return EOQ's quantizers of weights, ReLUs and errors, and its descent."""

    def activation(place: LayerPlace) -> FixedPointReLU:
        return FixedPointReLU(config.activation_bits, config.range)

    def descent(network: nn.Module, rate: float, weight_decay: float) -> FixedPointDescent:
        return FixedPointDescent(network, rate, weight_decay, config)

    return Plan(
        lambda weight, place: FixedPointWeight(weight, config.bits, config.range),
        activation=None if config.activation_bits == 32 else activation,
        error=lambda place: FixedPointError(config.bits),
        before=(partial(fixup, seed=config.seed),) if config.start == "fixup" else (),
        optimizer=descent,
        recipe={"learning_rate": config.learning_rate, "weight_decay": config.weight_decay},
    )
