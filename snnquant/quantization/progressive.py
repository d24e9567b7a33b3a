r"""Precision that grows during a training, after FracTrain: affine grids whose bits a rule sets.

Weights have an affine grid from their min to their max, ReLUs one up to a running max, errors one
from the min to the max of each sample, with rounding at random. After an epoch of loss l, and with
the mean m of the first ten losses, the next stage begins where

.. math:: |l_e - l_{e-i}| < \epsilon m \quad \mathrm{for}\ i = 1 .. 4

and :math:`\epsilon` becomes 0.3 :math:`\epsilon`. A step costs
:math:`(b_f^2 + 2 b_f b_b) / (3 \cdot 32^2)` of one in 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.config import QuantizationConfig
from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.api import weight_quantizer
from snnquant.quantization.descent import at_random
from snnquant.quantization.estimators import fake_quantize
from snnquant.quantization.grids import Grid, quantize_affine
from snnquant.quantization.plan import ErrorQuantizer, LayerPlace, Plan
from snnquant.quantization.rules import Rule
from snnquant.quantization.uniform import QuantizedWeight

WINDOW = 4
"""Earlier epochs whose losses a plateau is as high as."""
FIRST_EPOCHS = 10
"""Epochs whose mean loss is the unit of changes."""
MOMENTUM = 0.9
"""Share of the running max that a batch keeps."""


class ProgressiveWeight(QuantizedWeight):
    """Weight on an affine grid, in training of the bits that the rule sets.

    Args:
        weight: Weight that the quantizer is made for, [K, ...].
        bits: Bits per weight in the end.
        granularity: channel or tensor, what shares a scale.

    >>> quantizer = ProgressiveWeight(torch.ones(1, 1), 8, "channel")
    >>> quantizer.training_bits = 2
    >>> weight = torch.tensor([[0.0, 0.1, 0.4, 0.9]])
    >>> len(quantizer(weight).unique()), len(quantizer.eval()(weight).unique())
    (3, 4)
    """

    def __init__(self, weight: Tensor, bits: int, granularity: Any) -> None:
        config = QuantizationConfig(bits=bits, scheme="affine", granularity=granularity)
        super().__init__(weight, config)
        self.training_bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on the grid of training or of the end, same shape and dtype."""
        if not self.training or self.training_bits == self.bits:
            return super().forward(weight)
        per_channel = self.config.granularity == "channel"
        with torch.no_grad():
            grid: Grid = quantize_affine(weight, self.training_bits, per_channel=per_channel)
        return fake_quantize(weight, grid, self.estimator)


class ProgressiveReLU(QuantizedReLU):
    """ReLU up to a running max, in training of the bits that the rule sets.

    Args:
        bits: Bits per activation in the end.
    """

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.ceiling.requires_grad_(False)
        self.training_bits = bits

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Set the ceiling to the largest activation."""
        self.ceiling.copy_(x.amax().clamp(min=torch.finfo(x.dtype).tiny))

    @property
    def high(self) -> int:
        """Largest code of training, or of the end."""
        return int(2 ** (self.training_bits if self.training else self.bits) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations of x [N, ...] on their levels."""
        if self.training and self.ceiling > 0:
            with torch.no_grad():
                self.ceiling.lerp_(x.amax().clamp(min=0).to(self.ceiling), 1 - MOMENTUM)
        return super().forward(x)


class SampleError(ErrorQuantizer):
    """Errors on an affine grid per sample, rounded at random; the rule sets the bits."""

    def quantize(self, error: Tensor) -> Tensor:
        """Return an error [N, ...] on its levels, same shape and dtype."""
        rows = error.flatten(1)
        least, largest = (side.to(error) for side in rows.aminmax(dim=1, keepdim=True))
        high = 2**self.bits - 1
        step = ((largest - least) / high).clamp_(min=torch.finfo(error.dtype).tiny)
        codes = at_random((rows - least) / step).clamp_(0, high)
        return codes.mul_(step).add_(least).view_as(error)


class PrecisionSchedule(Rule):
    """Rule that gives a training more bits when its loss stays on a plateau.

    No epoch counts that begins within the warm-up of the learning rate: there a loss that stays
    says nothing. The last stage begins in time for the end.

    Args:
        network: Network with the quantizers of `plan`.
        error: Quantizer of errors, shared by all layers.
        config: Bits by stage, threshold, and the shares of warm-up and last stage.

    >>> PrecisionSchedule.cost(forward=8, backward=8)
    0.0625
    """

    def __init__(self, network: nn.Module, error: SampleError, config: Any) -> None:
        self.config, self.error = config, error
        found = [weight_quantizer(module) for module in network.modules()]
        self._weights = [q for q in found if isinstance(q, ProgressiveWeight)]
        self._relus = [m for m in network.modules() if isinstance(m, ProgressiveReLU)]
        self.stage = torch.zeros((), dtype=torch.int64)
        self.losses = torch.zeros(0, dtype=torch.float64)
        self.counted = torch.zeros((), dtype=torch.int64)
        self.costs = torch.zeros(0, dtype=torch.float64)
        self._use_bits()

    @staticmethod
    def cost(forward: int, backward: int) -> float:
        """Return the cost of a step over that of one in 32 bits."""
        return (forward**2 + 2 * forward * backward) / (3 * 32**2)

    def before_epoch(self, progress: float) -> None:
        """Begin the next stage on a plateau of the losses so far."""
        last = len(self.config.stages) - 1
        if progress <= self.config.warm_up:
            self.counted.fill_(len(self.losses))
        elif self.stage < last and self._on_plateau():
            self.stage += 1
        if progress >= self.config.last_from:
            self.stage.fill_(last)
        self._use_bits()

    def after_epoch(self, loss: float) -> None:
        """Note the loss of an epoch and its cost."""
        self.losses = torch.cat([self.losses, self.losses.new_tensor([loss])])
        forward, backward = self.config.stages[int(self.stage)]
        self.costs = torch.cat([self.costs, self.costs.new_tensor([self.cost(forward, backward)])])

    def figures(self) -> dict[str, float]:
        """Return the mean cost of the epochs, over that of epochs in 32 bits, and the stages."""
        stages = float(self.stage) + 1
        return {"training_cost": float(self.costs.mean()), "stages": stages}

    def state_dict(self) -> dict[str, Tensor]:
        """Return stage, losses, where they count from, and costs."""
        state = {"stage": self.stage, "losses": self.losses}
        return state | {"counted": self.counted, "costs": self.costs}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the state and set the bits."""
        self.stage, self.losses = state["stage"].clone(), state["losses"].clone()
        self.counted, self.costs = state["counted"].clone(), state["costs"].clone()
        self._use_bits()

    def _on_plateau(self) -> bool:
        recent = self.losses[int(self.counted) :][-WINDOW - 1 :]
        if len(recent) <= WINDOW:
            return False
        epsilon = self.config.plateau * self.config.shrink ** int(self.stage)
        limit = epsilon * self.losses[:FIRST_EPOCHS].mean()
        return bool(((recent[-1] - recent[:-1]).abs() < limit).all())

    def _use_bits(self) -> None:
        forward, backward = self.config.stages[int(self.stage)]
        for weight in self._weights:
            weight.training_bits = forward
        for relu in self._relus:
            relu.training_bits = min(forward, relu.bits)
        self.error.bits = backward


def plan(config: Any) -> Plan:
    """Return the quantizers of weights, ReLUs and errors, and the rule that sets their bits."""
    error = SampleError(config.error_bits)

    def activation(place: LayerPlace) -> ProgressiveReLU:
        return ProgressiveReLU(config.activation_bits)

    def schedule(network: nn.Module) -> PrecisionSchedule:
        return PrecisionSchedule(network, error, config)

    return Plan(
        lambda weight, place: ProgressiveWeight(weight, config.bits, config.granularity),
        activation=None if config.activation_bits == 32 else activation,
        error=lambda place: error,
        rules=(schedule,),
    )
