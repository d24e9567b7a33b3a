"""Batch norm taken out of a network for deployment, and put into an SNN for its training."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from snnquant.spiking import LIF, SpikingNetwork

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
NORM_OF: dict[type[nn.Module], Callable[[int], nn.Module]] = {
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
}


@torch.no_grad()
def fold_batch_norm(network: nn.Sequential) -> nn.Sequential:
    """A copy, in evaluation mode, whose batch norms are part of the convolutions before them.

    With the running mean m and variance v, W' = W g / sqrt(v + eps) and
    b' = (b - m) g / sqrt(v + eps) + beta: the same function up to rounding. A network under
    quantization cannot be folded; take the quantizers off first.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    last = ""
    for name, module in copy.deepcopy(network).eval().named_children():
        if isinstance(module, BATCH_NORMS):
            modules[last] = fuse_conv_bn_eval(modules[last], module)  # type: ignore[type-var]
        else:
            modules[name] = module
            last = name
    return nn.Sequential(modules).eval()


@torch.no_grad()
def insert_batch_norm(snn: SpikingNetwork, calibration: Tensor) -> SpikingNetwork:
    """A copy with a batch norm, conv1_norm and so on, between each convolution and its neurons.

    Its statistics are those of the currents on the `calibration` patches [N, 1, B, h, w], and its
    scale and shift undo them: in evaluation mode the network does what it did before. In training
    it keeps the currents in the range of the thresholds while the weights move.
    """
    currents: dict[str, tuple[Tensor, Tensor]] = {}

    def measure(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, current: Tensor) -> None:
            axes = [axis for axis in range(current.ndim) if axis != 1]
            variance, mean = torch.var_mean(current, axes, correction=0)
            currents[name] = (mean, variance)

        return hook

    snn = copy.deepcopy(snn).eval()
    children = list(snn.layers.named_children())
    handles = [
        module.register_forward_hook(measure(name))
        for (name, module), (_, after) in pairwise(children)
        if type(module) in NORM_OF and isinstance(after, LIF)
    ]
    snn(calibration)
    for handle in handles:
        handle.remove()
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for name, module in children:
        modules[name] = module
        if name in currents:
            mean, variance = currents[name]
            norm: Any = NORM_OF[type(module)](len(mean))
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)
            modules[f"{name}_norm"] = norm
    return SpikingNetwork(modules, snn.time_steps).eval()


def remove_batch_norm(snn: SpikingNetwork) -> SpikingNetwork:
    """A copy with the batch norms folded into the convolutions, as `fold_batch_norm` does."""
    layers = fold_batch_norm(snn.layers)
    return SpikingNetwork(OrderedDict(layers.named_children()), snn.time_steps).eval()
