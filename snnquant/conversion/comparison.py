"""The SNN beside its CNN, layer by layer: rates, errors, and biases that make up for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from snnquant.conversion.reference import SYNAPSES, Twin
from snnquant.spiking import Neuron, SpikingNetwork

SLOTS = 256
"""Inputs times time steps in memory at a time."""


class Comparison(NamedTuple):
    """Spikes a neuron a step, and the relative error of rate times threshold."""

    rate: float
    error: float


@torch.no_grad()
def compare(
    snn: SpikingNetwork, twin: Twin, thresholds: Mapping[str, float], inputs: Tensor
) -> dict[str, Comparison]:
    """Every LIF layer over inputs [N, ...]; the error is |V rate - a| / |a| in Euclid's norm."""
    sums = {name: torch.zeros(3, dtype=torch.float64) for name in thresholds}
    sizes = dict.fromkeys(thresholds, 0)
    for batch in torch.split(inputs, max(1, SLOTS // snn.time_steps)):
        with _outputs(snn, thresholds) as spikes, _outputs(twin, thresholds) as activations:
            snn(batch)
            twin(batch)
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
    snn: SpikingNetwork, twin: Twin, thresholds: Mapping[str, float], inputs: Tensor
) -> None:
    """Add to every bias what its channel's activation lacks in the mean over inputs [N, ...].

    A bias flows in at every step, so b more of it lifts the potential by T b in all. Layers are
    corrected from the input on, each against what the corrected ones before it send; the logits at
    last (Li et al., A Free Lunch From ANN, ICML 2021). What has no bias stays as it is.
    """
    users: dict[str, list[str]] = {name: [] for name in twin.nodes}
    for name, node in twin.nodes.items():
        for source in node.inputs:
            users.setdefault(source, []).append(name)
    for name, synapse in twin.layers.named_children():
        if not isinstance(synapse, SYNAPSES) or synapse.bias is None:
            continue
        (target,) = users[name] if len(users[name]) == 1 else (name,)
        if target not in thresholds and users[name]:
            continue  # its channels meet others before they spike
        total, count = torch.zeros_like(synapse.bias), 0
        for batch in torch.split(inputs, max(1, SLOTS // snn.time_steps)):
            with _outputs(snn, [target]) as found, _outputs(twin, [target]) as wanted:
                snn(batch)
                twin(batch)
            output = found[target] * thresholds.get(target, 1.0)
            gap = (wanted[target] - output).movedim(_channels(synapse), -1).flatten(0, -2)
            total += gap.sum(0)
            count += len(gap)
        snn.layers.get_submodule(name).get_parameter("bias").add_(total / count)


def _channels(synapse: nn.Module) -> int:
    """The axis of a synapse's output that its bias runs along."""
    return -1 if isinstance(synapse, nn.Linear) else 1


@contextmanager
def _outputs(network: SpikingNetwork | Twin, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """What the named layers put out in the block's last forward; of spikes the mean over time."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[name] = output.mean(0) if isinstance(module, Neuron) else output

        return hook

    handles = [
        network.layers.get_submodule(name).register_forward_hook(keep(name)) for name in names
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
