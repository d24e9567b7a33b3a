"""Batch norm after the synapses of an SNN, or of a folded CNN, while it trains."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from snnquant.nn.hooks import evaluating, recording
from snnquant.nn.kinds import ACTIVATIONS, SYNAPSES
from snnquant.quantization import scale_channels
from snnquant.spiking import Neuron, SpikingNetwork


class _ChannelNorm(_BatchNorm):
    """Batch norm over axis 1 of values [N, K, ...], with any number of further axes."""

    running_mean: Tensor
    running_var: Tensor

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of axes."""


class SynapseNorms:
    """Batch norms after every synapse that a LIF layer or activation follows, until folded.

    They start with the mean m and the variance v that a synapse's currents have on `patches`
    [N, ...], with scale sqrt(v + eps) and shift m, which leaves the network's function unchanged.
    Their statistics run over patches, positions and time steps alike, so that folded they are one
    factor and one bias per output channel (Zheng et al. 2021, threshold-dependent batch norm, whose
    scale by the threshold is inside the synapses here).

    A synapse without a bias, which has nowhere to put a mean, and a dense layer whose channels are
    not axis 1 get none.

    Args:
        network: SNN or CNN, changed in place.
        patches: Patches [N, 1, B, h, w] that the first statistics come from.
    """

    def __init__(self, network: nn.Module, patches: Tensor) -> None:
        self.norms: dict[nn.Module, _ChannelNorm] = {}
        if isinstance(network, SpikingNetwork):
            found = _before_neurons(network)
        else:
            found = _before_activations(network, patches[:1])
        synapses = {str(i): synapse for i, synapse in enumerate(found)}
        with evaluating(network), recording(synapses, self._insert):
            network(patches)
        self.handles = [
            synapse.register_forward_hook(lambda module, inputs, output: module.norm(output))
            for synapse in self.norms
        ]

    def _insert(self, _: str, synapse: nn.Module, inputs: Any, output: Tensor) -> None:
        if synapse.bias is None or (isinstance(synapse, nn.Linear) and output.ndim > 2):
            return
        norm = _ChannelNorm(output.shape[1]).to(output)
        axes = [axis for axis in range(output.ndim) if axis != 1]
        norm.running_mean.copy_(output.mean(axes))
        norm.running_var.copy_(output.var(axes, correction=0))
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(norm.running_mean)
        synapse.norm = self.norms[synapse] = norm

    @torch.no_grad()
    def fold(self) -> None:
        """Merge the norms into their synapses, quantized or not: the same function in evaluation.

        Raises:
            InputError: The quantized weights cannot be rescaled per output channel.
        """
        for handle in self.handles:
            handle.remove()
        synapse: Any
        for synapse, norm in self.norms.items():
            factors = norm.weight / (norm.running_var + norm.eps).sqrt()
            scale_channels(synapse, factors)
            synapse.bias.sub_(norm.running_mean).mul_(factors).add_(norm.bias)
            del synapse.norm


def _before_neurons(network: SpikingNetwork) -> list[nn.Module]:
    """Return the convolutions and dense layers that a LIF layer follows, at any distance."""
    feeding: set[str] = set()
    found: list[nn.Module] = []
    for name, sources in reversed(network.inputs.items()):
        layer = network.layers.get_submodule(name)
        if name in feeding and isinstance(layer, SYNAPSES):
            found.append(layer)
        if name in feeding or isinstance(layer, Neuron):
            feeding.update(sources)
    return found


def _before_activations(network: nn.Module, patch: Tensor) -> list[nn.Module]:
    """Return the convolutions and dense layers of a CNN that run before its last activation."""
    modules = dict(network.named_modules())
    kinds = (*SYNAPSES, *ACTIVATIONS)
    watched = {name: module for name, module in modules.items() if isinstance(module, kinds)}
    ran: list[nn.Module] = []
    with evaluating(network), recording(watched, lambda name, *_: ran.append(modules[name])):
        network(patch)
    while ran and not isinstance(ran[-1], ACTIVATIONS):
        ran.pop()
    return [module for module in ran if isinstance(module, SYNAPSES)]
