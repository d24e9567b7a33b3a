"""Networks with one analog layer: chips by Monte Carlo, sweeps, noise-aware training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pim_sim.analog.analog_config import AnalogConfig
from pim_sim.analog.analog_layer import AnalogLayer, Exact, analog_layer
from pim_sim.schema import check_integer, refuse

Evaluate = Callable[[nn.Module], float]
"""Overall accuracy, 0 to 1, of a network on the caller's data."""


@dataclass(frozen=True)
class ChipAccuracy:
    """Overall accuracy over chips, the test data given."""

    oa: tuple[float, ...]
    """Overall accuracy of each chip, 0 to 1."""

    @property
    def mean(self) -> float:
        """Mean over the chips."""
        return math.fsum(self.oa) / len(self.oa)

    @property
    def std(self) -> float:
        """Standard deviation from chip to chip (n - 1)."""
        return math.sqrt(math.fsum((oa - self.mean) ** 2 for oa in self.oa) / (len(self.oa) - 1))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return Student's t interval of the mean over chips, n - 1 degrees of freedom."""
        from scipy.special import stdtrit

        quantile = float(stdtrit(len(self.oa) - 1, (1 + confidence) / 2))
        half = quantile * self.std / math.sqrt(len(self.oa))
        return self.mean - half, self.mean + half


@contextmanager
def analog(
    network: nn.Module, layer: str, config: AnalogConfig, inputs: Tensor, *, chip: int = 0
) -> Iterator[AnalogLayer]:
    """Compute the module called ``layer`` in ``network`` on analog columns within the block.

    ``inputs`` [N, ...] of the network set the ranges, by the layer's inputs in evaluation mode.
    After the block the module itself is back in its place, with the weights as trained meanwhile.

    Raises `InputError` for a layer that the network lacks or does not call.
    """
    modules = {name: m for name, m in network.named_modules() if name}
    if layer not in modules:
        known = [name for name, module in modules.items() if isinstance(module, Exact)]
        raise refuse("layer", layer, f"one of {', '.join(known)}")
    parent_name, _, name = layer.rpartition(".")
    parent = network.get_submodule(parent_name)
    stand_in = analog_layer(modules[layer], config, _reaching(network, layer, inputs), chip=chip)
    setattr(parent, name, stand_in)
    try:
        yield stand_in
    finally:
        setattr(parent, name, modules[layer])


def monte_carlo(
    network: nn.Module,
    layer: str,
    config: AnalogConfig,
    inputs: Tensor,
    evaluate: Evaluate,
    *,
    chips: int = 20,
    seed: int = 0,
) -> ChipAccuracy:
    """Measure the overall accuracy of ``network`` on chips ``seed`` .. ``seed + chips - 1``.

    ``inputs`` are as of `analog`. Every chip draws its noise from its own seed, and torch's
    generator is left as it was: the same call gives the same result.

    Raises `InputError` for fewer than 2 chips.
    """
    check_integer("chips", chips, 2)
    found = []
    with analog(network, layer, config, inputs) as stand_in, torch.random.fork_rng():
        for chip in range(seed, seed + chips):
            stand_in.draw_chip(chip)
            torch.manual_seed(chip)
            found.append(evaluate(network))
    return ChipAccuracy(tuple(found))


def sweep(
    network: nn.Module,
    layer: str,
    config: AnalogConfig,
    inputs: Tensor,
    evaluate: Evaluate,
    parameter: str,
    values: Sequence[float | None],
    *,
    chips: int = 20,
    seed: int = 0,
) -> list[tuple[float | None, ChipAccuracy]]:
    """Run `monte_carlo` for each value of one parameter of the configuration or of its noise.

    The same chips at every value. Raises `InputError` for an impossible parameter or value.
    """
    configs = [(value, config.with_value(parameter, value)) for value in values]
    return [
        (v, monte_carlo(network, layer, changed, inputs, evaluate, chips=chips, seed=seed))
        for v, changed in configs
    ]


def finetune(
    network: nn.Module,
    stand_in: AnalogLayer,
    batches: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    *,
    seed: int = 0,
) -> list[float]:
    """Train ``network`` with its analog layer, on another chip at every step; return the losses.

    Call it within `analog`. ``batches`` are inputs [N, ...] and classes [N]; the loss is the
    cross-entropy. The chips are ``seed``, ``seed + 1``, ...: choose others to evaluate on. Use
    ``optimizer.register_step_post_hook`` for work after each step.
    """
    losses = []
    for step, (x, classes) in enumerate(batches):
        stand_in.draw_chip(seed + step)
        loss = functional.cross_entropy(network(x), classes)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def _reaching(network: nn.Module, layer: str, inputs: Tensor) -> Tensor:
    """Return the inputs of a layer of the network, its calls joined along the batch."""
    seen: list[Tensor] = []
    module = network.get_submodule(layer)
    handle = module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    training = {m: m.training for m in network.modules()}
    try:
        network.eval()(inputs)
    finally:
        handle.remove()
        for m, mode in training.items():
            m.training = mode
    if not seen:
        raise refuse("layer", layer, "a layer that the network calls")
    return torch.cat(seen)
