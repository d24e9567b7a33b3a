"""Penalty on accumulates in the loss: of a constant weight, or adapted so that a target is met."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.nn import layer_table
from snnquant.nn.hooks import evaluating, recording
from snnquant.nn.kinds import ACTIVATIONS, SYNAPSES
from snnquant.quantization import Rule
from snnquant.spiking import SpikingNetwork, spiking_layers

MARGIN = 0.96
"""Share of the target that the training aims at, so that validation pixels keep below it."""
DESCENT = 0.5
"""Share of the training in which the aim falls from the first batch's accumulates to the target."""
STIFFNESS = 2.0
"""Weight that the penalty gains per e-fold of accumulates above the aim."""
GAIN = 4.0
"""Growth of the multiplier over a whole training that is one e-fold above its aim."""
MEMORY = 0.95
"""Share of the running mean of accumulates that a batch leaves."""


class AccumulateMeter:
    """Accumulates per MAC of a network's last forward, differentiable.

    Every spike, or activation of a CNN that is not 0, counts once per weight that it meets; the
    MACs are the dense ones of the same layers. Layers that no neuron or activation precedes are
    left out. The hooks stay for the network's life.

    Args:
        network: SNN or CNN, quantized or not.
        example: One patch, [1, 1, B, h, w].
    """

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        self.network = network
        self.parts: dict[str, Tensor] = {}
        self.fan_out: dict[str, Tensor] = {}
        spiking = isinstance(network, SpikingNetwork)
        names = spiking_layers(network) if spiking else _after_activations(network, example)
        table = [info for info in layer_table(network, example) if info.name in names]
        self.mac = sum(info.mac for info in table)
        for info in table:
            hook = self._hook(info.name, spiking)
            network.get_submodule(info.name).register_forward_hook(hook)

    def __call__(self) -> Tensor:
        """Return the sum over the layers of the last forward, a scalar."""
        steps = self.network.time_steps if isinstance(self.network, SpikingNetwork) else 1
        return torch.stack(list(self.parts.values())).sum() * (steps / self.mac)

    def _hook(self, name: str, spiking: bool) -> Callable[..., None]:
        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            x = inputs[0]
            if name not in self.fan_out:
                self.fan_out[name] = _fan_out(module, x[0])
            active = x if spiking else _non_zero(x)
            self.parts[name] = (active.mean(0) * self.fan_out[name]).sum()

        return record


class SpikePenalty(Rule):
    """Term of the loss that grows with the accumulates per MAC a.

    With a weight it is `weight * a`. With a target it is an augmented Lagrangian (Nocedal & Wright
    2006, section 17.3) of the constraint ln(a / aim) <= 0, with multiplier m and stiffness k:
    max(0, m + k ln(a / aim))^2 / 2k. The aim falls geometrically to the target, and epochs above it
    on validation pixels are not allowed.

    Args:
        network: SNN or CNN, quantized or not.
        example: One patch, [1, 1, B, h, w].
        steps: Optimizer steps of the whole training.
        weight: Constant weight; unused with a target.
        target: Accumulates per MAC that the result may need; 0 for a constant weight.
    """

    def __init__(
        self,
        network: nn.Module,
        example: Tensor,
        steps: int,
        *,
        weight: float = 0.0,
        target: float = 0.0,
    ) -> None:
        self.meter = AccumulateMeter(network, example)
        self.steps, self.weight, self.target = steps, weight, target
        self.step, self.start, self.mean = 0.0, 0.0, 0.0
        self.multiplier, self.excess = 0.0, 0.0
        self.gap = 1.0  # accumulates on validation pixels over those in training
        self.validated: list[tuple[float, int]] = []
        network.register_forward_hook(self._note)

    def __call__(self) -> Tensor:
        """Return the penalty of the last forward, a scalar."""
        found = self.meter()
        if not self.target:
            return self.weight * found
        number = float(found.detach())
        if not self.step:
            self.start = self.mean = number
        self.mean += (1 - MEMORY) * (number - self.mean)
        excess = found.clamp(min=1e-9).log() - self._log_aim()
        self.excess = float(excess.detach())
        return (self.multiplier + STIFFNESS * excess).clamp(min=0).square() / (2 * STIFFNESS)

    def _log_aim(self) -> float:
        aim = MARGIN * self.target / self.gap
        progress = min(1.0, self.step / self.steps / DESCENT)
        return math.log(aim) + (1 - progress) * max(0.0, math.log(max(self.start, aim) / aim))

    def _note(self, network: nn.Module, inputs: Any, output: Tensor) -> None:
        if self.target and not network.training:
            self.validated.append((float(self.meter()), len(output)))

    def after_step(self) -> None:
        """Adapt the multiplier by the excess of the step."""
        self.multiplier = max(0.0, self.multiplier + GAIN * self.excess / self.steps)
        self.step += 1

    def after_epoch(self, loss: float) -> None:
        """Forget the accumulates of the last validation."""
        self.validated.clear()

    def allows(self) -> bool:
        """Return whether the validation pixels of this epoch are within the target."""
        if not self.target:
            return True
        found = sum(a * n for a, n in self.validated) / sum(n for _, n in self.validated)
        self.gap = min(1.25, max(0.8, found / max(self.mean, 1e-9)))
        return found <= self.target

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that the next step depends on; nothing for a constant weight."""
        if not self.target:
            return {}
        values = [self.step, self.start, self.mean, self.multiplier, self.gap]
        return {"values": torch.tensor(values, dtype=torch.float64)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the tensor of `state_dict`."""
        if self.target:
            self.step, self.start, self.mean, self.multiplier, self.gap = state["values"].tolist()


def _non_zero(x: Tensor) -> Tensor:
    """Return 1 where quantized x is not 0, else 0, with the gradient of x / step below 1.5 steps.

    Values above have none, as potentials far above a threshold have none: a common factor of all
    activations, which the ceiling is, would shrink with them and save nothing.
    """
    size = x.abs()
    active = size > 0
    step = torch.where(active, size.detach(), torch.inf).amin()
    soft = torch.where(size < 1.5 * step, size / step, 0)
    return soft + (active.to(x.dtype) - soft).detach()


def _after_activations(network: nn.Module, example: Tensor) -> set[str]:
    """Return the names of the layers with weights that run after an activation."""
    found: set[str] = set()
    activated = False

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal activated
        activated = activated or isinstance(module, ACTIVATIONS)
        if activated:
            found.add(name)

    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, (*ACTIVATIONS, *SYNAPSES))
    }
    with evaluating(network), recording(layers, note):
        network(example)
    return found


def _fan_out(module: Any, x: Tensor) -> Tensor:
    """Return the number of weights that each input of a sample x [...] meets."""
    if isinstance(module, nn.Linear):
        return torch.full_like(x, module.out_features)
    with torch.enable_grad():
        inputs = torch.zeros_like(x, requires_grad=True)
        ones = torch.ones_like(module.weight).detach()
        reached = module._conv_forward(inputs[None], ones, None).sum()
    (counts,) = torch.autograd.grad(reached, inputs)
    return counts
