"""Comparison of an SNN with its CNN, layer by layer: rates, errors and corrected biases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from snnquant.conversion.reference import ReferenceCNN
from snnquant.nn import recording
from snnquant.nn.kinds import SYNAPSES
from snnquant.spiking import Neuron, SpikingNetwork

MAX_SLOTS = 256
"""Inputs times time steps in memory at a time."""


class Comparison(NamedTuple):
    """Spikes per neuron per step, and the relative error of rate times threshold."""

    rate: float
    error: float


@torch.no_grad()
def compare(
    snn: SpikingNetwork,
    reference: ReferenceCNN,
    thresholds: Mapping[str, float],
    inputs: Tensor,
) -> dict[str, Comparison]:
    """Compare every LIF layer over inputs [N, ...]: the error is |V rate - a| / |a|, Euclidean."""
    sums = {name: torch.zeros(3, dtype=torch.float64) for name in thresholds}
    sizes = dict.fromkeys(thresholds, 0)
    for batch in torch.split(inputs, max(1, MAX_SLOTS // snn.time_steps)):
        with _outputs(snn, thresholds) as spikes, _outputs(reference, thresholds) as activations:
            snn(batch)
            reference(batch)
        for name, threshold in thresholds.items():
            rate, activation = spikes[name].double(), activations[name].double()
            sizes[name] += rate.numel()
            error = (threshold * rate - activation).square().sum()
            sums[name] += torch.stack([rate.sum(), error, activation.square().sum()]).cpu()
    return {
        name: Comparison(float(rate) / sizes[name], float((error / norm.clamp(min=1e-30)).sqrt()))
        for name, (rate, error, norm) in sums.items()
    }


@torch.no_grad()
def correct_biases(
    snn: SpikingNetwork,
    reference: ReferenceCNN,
    thresholds: Mapping[str, float],
    inputs: Tensor,
) -> None:
    """Add to every bias what its channel's activation lacks in the mean over inputs [N, ...].

    A bias flows in at every step, so b more of it lifts the potential by T b in all. Layers are
    corrected from the input on, each for the outputs of the corrected layers before it; the logits
    come last (Li et al., A Free Lunch From ANN, ICML 2021). A layer without a bias stays as it is.
    """
    users: dict[str, list[str]] = {name: [] for name in reference.inputs}
    for name, sources in reference.inputs.items():
        for source in sources:
            users.setdefault(source, []).append(name)
    for name, synapse in reference.layers.named_children():
        if not isinstance(synapse, SYNAPSES) or synapse.bias is None:
            continue
        (target,) = users[name] if len(users[name]) == 1 else (name,)
        if target not in thresholds and users[name]:
            continue  # other channels are added to these before they spike
        total, count = torch.zeros_like(synapse.bias), 0
        for batch in torch.split(inputs, max(1, MAX_SLOTS // snn.time_steps)):
            with _outputs(snn, [target]) as found, _outputs(reference, [target]) as wanted:
                snn(batch)
                reference(batch)
            output = found[target] * thresholds.get(target, 1.0)
            gap = (wanted[target] - output).movedim(_channels(synapse), -1).flatten(0, -2)
            total += gap.sum(0)
            count += len(gap)
        snn.layers.get_submodule(name).get_parameter("bias").add_(total / count)


def _channels(synapse: nn.Module) -> int:
    """Return the axis of a synapse's output that its bias runs along."""
    return -1 if isinstance(synapse, nn.Linear) else 1


@contextmanager
def _outputs(
    network: SpikingNetwork | ReferenceCNN, names: Iterable[str]
) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the named layers in the block's last forward; the mean of spikes."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        outputs[name] = output.mean(0) if isinstance(layer, Neuron) else output

    with recording({name: network.layers.get_submodule(name) for name in names}, keep):
        yield outputs
