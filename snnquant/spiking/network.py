"""The T-step forward of a feed-forward spiking network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn import INPUT, Graph
from snnquant.nn.kinds import AFFINE, DROPOUTS, MAX_POOLS, SPIKES_STAY
from snnquant.spiking.layers import LIF


class _Step(NamedTuple):
    """How a layer runs: `spiking` on [T, N, ...], else once; `done` are values no one needs more.

    `changing` says which of its inputs have a time axis.
    """

    name: str
    inputs: tuple[str, ...]
    spiking: bool
    changing: tuple[bool, ...]
    done: tuple[str, ...]


class SpikingNetwork(Graph):
    r"""A graph of modules, some of them `LIF`, run for ``time_steps`` steps on one analog input.

    `inputs` names, for a layer, the earlier layers whose outputs it takes, or `INPUT`; a layer that
    it does not name takes the one before. The last layer's output is the network's.

    - Layers that no LIF comes before (direct encoding) see the same input at every step, so they
      run once and their output repeats over T.
    - Layers that see spikes have time folded into the batch, [T·N, ...], so that a weight is read
      (and quantized) once a forward. The dropouts of torch draw one mask [N, ...] a forward,
      shared by all steps.
    - Max pooling is that of the counts: where :math:`S_i[t]` sums input i up to step t, its output
      is :math:`\max_i S_i[t] - \max_i S_i[t-1]`. This sums to :math:`\max_i S_i[T]`, so its mean is
      exactly the maximum of the inputs' means, and of spikes it makes spikes: a count grows by at
      most 1 a step, so the largest does too.
    - The output accumulates without leak or spike: the logits are the mean over T. Affine layers
      that no LIF follows (flatten, linear, convolution, sums, averages) run once, on the mean
      spikes, which is the same up to rounding.

    A forward hook on a `LIF` sees its spikes [T, N, ...]. ``time_steps`` may be changed at will.

    Raises `InputError` without a LIF, with one hidden inside another module, for an input that is
    no earlier layer, and for T < 1.
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
            if not isinstance(layer, LIF) and any(isinstance(m, LIF) for m in layer.modules()):
                raise InputError(f"layer {name}: found a LIF inside it, expected it as a layer")
        if not any(isinstance(layer, LIF) for layer in layers.values()):
            raise InputError(f"layers: found {list(layers)}, expected a LIF among them")
        super().__init__(layers, inputs)
        self.time_steps = time_steps
        self._steps = self._schedule()

    @property
    def spike_driven(self) -> frozenset[str]:
        """Names of the layers behind a LIF: their inputs are spikes, or values made of them."""
        behind: set[str] = set()
        for name, sources in self.inputs.items():
            if any(s in behind or self._is_lif(s) for s in sources):
                behind.add(name)
        return frozenset(behind)

    def _is_lif(self, name: str) -> bool:
        return name != INPUT and isinstance(self.layers.get_submodule(name), LIF)

    def _schedule(self) -> tuple[_Step, ...]:
        """Which layers run on every step and which once, and how long values are kept."""
        names = list(self.inputs)
        behind = self.spike_driven
        users: dict[str, list[str]] = {name: [] for name in (INPUT, *names)}
        for name, sources in self.inputs.items():
            for source in sources:
                users[source].append(name)
        readout: set[str] = set()
        for name in reversed(names):
            affine = isinstance(self.layers.get_submodule(name), AFFINE + DROPOUTS)
            if affine and name in behind and readout.issuperset(users[name]):
                readout.add(name)
        changing = {n for n in names if self._is_lif(n) or (n in behind and n not in readout)}
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
        """Logits [N, K] of the analog input [N, ...], for patches [N, 1, B, h, w]."""
        values = {INPUT: x}
        for step, layer in zip(self._steps, self.layers, strict=True):
            inputs = [values[source] for source in step.inputs]
            for name in step.done:
                del values[name]
            if step.spiking:
                for i, changes in enumerate(step.changing):
                    if not changes:
                        inputs[i] = inputs[i].expand(self.time_steps, *inputs[i].shape)
                values[step.name] = self._step_all(layer, inputs)
            else:
                for i, changes in enumerate(step.changing):
                    if changes:
                        inputs[i] = inputs[i].mean(0)
                values[step.name] = layer(*inputs)
        output = values[step.name]
        return output.mean(0) if step.spiking else output

    @staticmethod
    def _step_all(layer: nn.Module, inputs: list[Tensor]) -> Tensor:
        """Apply a layer to all steps of its inputs [T, N, ...] at once."""
        x = inputs[0]
        if isinstance(layer, LIF):
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
        """Bring every leak and threshold back to its range; call after an optimizer step."""
        for module in self.layers:
            if isinstance(module, LIF):
                module.clamp_()


def spiking_layers(network: nn.Module) -> set[str]:
    """Names of the layers whose inputs are spikes, and not values made of them."""
    if not isinstance(network, SpikingNetwork):
        return set()
    spikes = {INPUT: False}
    names = set()
    for (name, sources), layer in zip(network.inputs.items(), network.layers, strict=True):
        given = all(spikes[source] for source in sources)
        spikes[name] = isinstance(layer, LIF) or (given and isinstance(layer, SPIKES_STAY))
        if given:
            names.add(f"layers.{name}")
    return names
