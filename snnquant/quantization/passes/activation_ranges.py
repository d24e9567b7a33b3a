"""Ceilings of quantized activations, set once from what a network in use puts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from snnquant.nn import evaluating, recording
from snnquant.nn.kinds import BATCH_NORMS
from snnquant.quantization.activations import SAMPLE, QuantizedReLU
from snnquant.quantization.passes.observed_layers import BATCH, moments, power_sums

DEVIATIONS = 6
"""Standard deviations above its mean up to which a batch norm's values are kept."""
Ceiling = Literal["max", "mse", "moments"]


@contextmanager
def unquantized_activations(network: nn.Module) -> Iterator[None]:
    """Run the block with plain ReLUs in the place of quantized ones."""
    found = {name: m for name, m in network.named_modules() if isinstance(m, QuantizedReLU)}
    for name, module in found.items():
        network.set_submodule(name, nn.ReLU().train(module.training))
    try:
        yield
    finally:
        for name, module in found.items():
            network.set_submodule(name, module)


@torch.no_grad()
def set_ceilings(network: nn.Module, inputs: Tensor, how: Ceiling) -> None:
    """Set the ceiling of every quantized ReLU from its values without quantized activations.

    Args:
        network: CNN with quantized weights; one without quantized ReLUs stays as it is.
        inputs: Calibration inputs [N, ...].
        how: `max`: the largest value; `mse`: of least squared error; `moments`: the largest mean
            plus six deviations of a channel before the ReLU, of a batch norm right there its beta
            and |gamma|, else measured.

    >>> network = nn.Sequential(QuantizedReLU(bits=2))
    >>> set_ceilings(network, torch.tensor([[-9.0], [1.0], [6.0]]), "max")
    >>> network[0].ceiling.item()
    6.0
    """
    found = {name: m for name, m in network.named_modules() if isinstance(m, QuantizedReLU)}
    if not found:
        return
    with unquantized_activations(network):
        plain = {name: network.get_submodule(name) for name in found}
        seen = _moments if how == "moments" else _samples if how == "mse" else _largest
        values = seen(network, plain, inputs)
    for name, relu in found.items():
        if how == "mse":
            relu.start(values[name])
        else:
            relu.ceiling.fill_(values[name].max())
        if relu.ceiling <= 0:  # a layer that is silent on all inputs: any range serves it
            relu.ceiling.fill_(1.0)


Modules: TypeAlias = Mapping[str, nn.Module]


def _largest(network: nn.Module, relus: Modules, inputs: Tensor) -> dict[str, Tensor]:
    return _collected(network, relus, inputs, lambda values: values.max().view(1))


def _samples(network: nn.Module, relus: Modules, inputs: Tensor) -> dict[str, Tensor]:
    """Return values of each ReLU, evenly spaced, no more than a search looks at."""
    share = SAMPLE * BATCH // max(BATCH, len(inputs))

    def keep(values: Tensor) -> Tensor:
        return values.flatten()[:: values.numel() // share + 1]

    return _collected(network, relus, inputs, keep)


def _moments(network: nn.Module, relus: Modules, inputs: Tensor) -> dict[str, Tensor]:
    """Return the mean plus six deviations of each channel [C] before a ReLU."""
    sums = _collected(
        network, relus, inputs, lambda x: power_sums(x.movedim(1, 0).flatten(1))[None]
    )
    before: dict[str, str | None] = {}
    outputs: dict[str, Tensor] = {}

    def note(name: str, module: Any, given: tuple[Tensor, ...], output: Tensor) -> None:
        if name in relus:
            before[name] = next((n for n in outputs if outputs[n] is given[0]), None)
        else:
            outputs[name] = output

    all_norms = {n: m for n, m in network.named_modules() if isinstance(m, BATCH_NORMS)}
    with evaluating(network), recording({**relus, **all_norms}, note):
        network(inputs[:1])
    reached = {}
    for name, total in sums.items():
        mean, deviation = moments(total.sum(0))
        norm: Any = all_norms.get(before[name] or "")
        if norm is not None and norm.affine:
            mean, deviation = norm.bias, norm.weight.abs()
        reached[name] = mean + DEVIATIONS * deviation
    return reached


def _collected(
    network: nn.Module, relus: Modules, inputs: Tensor, keep: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """Return what is kept of the values that reach each ReLU, one batch after another."""
    reached: dict[str, list[Tensor]] = {name: [] for name in relus}

    def note(name: str, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        reached[name].append(keep(given[0]))

    with evaluating(network), recording(relus, note):
        for batch in torch.split(inputs, BATCH):
            network(batch)
    return {name: torch.cat(values) for name, values in reached.items()}
