"""The T-step forward of a feed-forward spiking network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn import INPUT, Graph
from snnquant.nn.kinds import AFFINE, DROPOUTS, MAX_POOLS, SPIKES_STAY
from snnquant.spiking.neuron import Neuron
from snnquant.spiking.steps import mean, repeat


class _Step(NamedTuple):
    """The run of a layer: `spiking` on [T, N, ...], else once; `done` values are needed no more.

    `changing` marks the inputs that have a time axis.
    """

    name: str
    inputs: tuple[str, ...]
    spiking: bool
    changing: tuple[bool, ...]
    done: tuple[str, ...]


class SpikingNetwork(Graph):
    r"""A graph of modules, some of them a `Neuron`, run for T time steps on one analog input.

    - Layers before the first neurons (direct encoding) see the same input at every step, so they
      run once and their output repeats over T.
    - Layers that see spikes have time folded into the batch, [T·N, ...], so that a weight is read
      (and quantized) once per forward. The dropouts of torch draw one mask [N, ...] per forward,
      shared by all steps.
    - Max pooling is that of the counts: where :math:`S_i[t]` sums input i up to step t, its output
      is :math:`\max_i S_i[t] - \max_i S_i[t-1]`. This sums to :math:`\max_i S_i[T]`, so its mean is
      exactly the maximum of the inputs' means, and of spikes it makes spikes: a count grows by at
      most 1 per step, so the largest does too.
    - The output accumulates without leak or spike: the logits are the mean over T. Affine layers
      after the last neurons (flatten, linear, convolution, sums, averages) run once, on the mean
      spikes, which is the same up to rounding.

    A forward hook on a `Neuron` sees its spikes [T, N, ...].

    Args:
        layers: Modules by name, in order; the last one's output is the network's.
        time_steps: T, at least 1; the attribute may be changed at will.
        inputs: For a layer, the earlier layers whose outputs it takes, or `INPUT`; a layer that is
            not listed takes the one before.

    Raises:
        InputError: Without neurons, with neurons hidden inside another module, for an input that
            is no earlier layer, and for T < 1.

    Example:
        >>> from snnquant.spiking import LIF
        >>> layers = {"fc1": nn.Linear(8, 4), "lif1": LIF(), "fc2": nn.Linear(4, 3)}
        >>> SpikingNetwork(layers, time_steps=5)(torch.zeros(2, 8)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        time_steps: int,
        inputs: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        if time_steps < 1:
            raise InputError(f"time_steps: found {time_steps}, expected at least 1")
        for name, layer in layers.items():
            hidden = not isinstance(layer, Neuron)
            if hidden and any(isinstance(module, Neuron) for module in layer.modules()):
                raise InputError(f"layer {name}: found neurons inside it, expected them as a layer")
        if not any(isinstance(layer, Neuron) for layer in layers.values()):
            raise InputError(f"layers: found {list(layers)}, expected neurons among them")
        super().__init__(layers, inputs)
        self.time_steps = time_steps
        self._steps = self._schedule()

    @property
    def spike_driven(self) -> frozenset[str]:
        """Names of the layers after neurons: their inputs are spikes, or values made of them."""
        driven: set[str] = set()
        for name, sources in self.inputs.items():
            if any(s in driven or self._is_neuron(s) for s in sources):
                driven.add(name)
        return frozenset(driven)

    def _is_neuron(self, name: str) -> bool:
        return name != INPUT and isinstance(self.layers.get_submodule(name), Neuron)

    def _schedule(self) -> tuple[_Step, ...]:
        """Decide which layers run on every step and which once, and how long values are kept."""
        names = list(self.inputs)
        driven = self.spike_driven
        users: dict[str, list[str]] = {name: [] for name in (INPUT, *names)}
        for name, sources in self.inputs.items():
            for source in sources:
                users[source].append(name)
        readout: set[str] = set()
        for name in reversed(names):
            affine = isinstance(self.layers.get_submodule(name), AFFINE + DROPOUTS)
            if affine and name in driven and readout.issuperset(users[name]):
                readout.add(name)
        changing = {n for n in names if self._is_neuron(n) or (n in driven and n not in readout)}
        return tuple(
            _Step(
                name,
                sources,
                name in changing,
                tuple(source in changing for source in sources),
                tuple({s for s in sources if users[s][-1] == name}),
            )
            for name, sources in self.inputs.items()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [N, K] of the analog input [N, ...], as patches [N, 1, B, h, w]."""
        values = {INPUT: x}
        for step, layer in zip(self._steps, self.layers, strict=True):
            inputs = [values[source] for source in step.inputs]
            for name in step.done:
                del values[name]
            if step.spiking:
                for i, changes in enumerate(step.changing):
                    if not changes:
                        inputs[i] = repeat(inputs[i], self.time_steps)
                values[step.name] = self._step_all(layer, inputs)
            else:
                for i, changes in enumerate(step.changing):
                    if changes:
                        inputs[i] = mean(inputs[i])
                values[step.name] = layer(*inputs)
        output = values[step.name]
        return mean(output) if step.spiking else output

    @staticmethod
    def _step_all(layer: nn.Module, inputs: list[Tensor]) -> Tensor:
        """Apply a layer to all steps of its inputs [T, N, ...] at once."""
        x = inputs[0]
        if isinstance(layer, Neuron):
            spikes: Tensor = layer(x)
            return spikes
        if isinstance(layer, DROPOUTS):
            masked: Tensor = x * layer(torch.ones_like(x[0]))
            return masked
        if isinstance(layer, MAX_POOLS):
            inputs = [x.cumsum(0)]
        folded: Tensor = layer(*(value.flatten(0, 1) for value in inputs))
        output = folded.view(*x.shape[:2], *folded.shape[1:])
        if isinstance(layer, MAX_POOLS):
            return output.diff(dim=0, prepend=torch.zeros_like(output[:1]))
        return output

    def clamp_(self) -> None:
        """Clamp every leak and threshold to its range; call after an optimizer step."""
        for module in self.layers:
            if isinstance(module, Neuron):
                module.clamp_()


def spiking_layers(network: nn.Module) -> set[str]:
    """Return the names of the layers whose inputs are spikes, and not values made of them."""
    if not isinstance(network, SpikingNetwork):
        return set()
    spikes = {INPUT: False}
    names = set()
    for (name, sources), layer in zip(network.inputs.items(), network.layers, strict=True):
        given = all(spikes[source] for source in sources)
        spikes[name] = isinstance(layer, Neuron) or (given and isinstance(layer, SPIKES_STAY))
        if given:
            names.add(f"layers.{name}")
    return names
