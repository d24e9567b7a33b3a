"""Batch norm merged into the convolution or dense layer before it."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from snnquant.conversion.tracing import trace
from snnquant.nn.kinds import BATCH_NORMS, CONVOLUTIONS


def fold_batch_norm(cnn: nn.Module) -> nn.Module:
    """Copy a CNN and merge its batch norms into the layers right before them.

    With the running mean m and variance v, W' = W g / sqrt(v + eps) and
    b' = (b - m) g / sqrt(v + eps) + beta: the same function up to rounding.

    Args:
        cnn: The CNN; it is not changed.

    Returns:
        The copy in evaluation mode, with identities in the place of batch norms, so that its state
        dict is that of the network without them. A batch norm stays where no convolution or dense
        layer is right before it.

    Raises:
        InputError: Where the module cannot be traced.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from snnquant.conversion import fold_batch_norm
        >>> cnn = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
        >>> folded = fold_batch_norm(cnn)
        >>> list(folded.state_dict())
        ['0.weight', '0.bias']
        >>> x = torch.rand(2, 3, 5, 5)
        >>> bool(torch.allclose(folded(x), cnn(x), atol=1e-6))
        True
    """
    folded = copy.deepcopy(cnn).eval()
    fold_in_place(folded, trace(folded))
    return folded


@torch.no_grad()
def fold_in_place(module: nn.Module, graph: fx.Graph) -> dict[str, str]:
    """Fold all that can be; return the names of the folded batch norms with their synapses'.

    A batch norm stays where its synapse's output goes elsewhere too, where either runs twice, and
    where it has no running statistics.
    """
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    folded = {}
    for node in graph.nodes:
        if node.op != "call_module" or calls[node.target] > 1:
            continue
        before = node.args[0]
        norm: Any = module.get_submodule(node.target)
        if not isinstance(norm, BATCH_NORMS) or norm.running_mean is None:
            continue
        if before.op != "call_module" or calls[before.target] > 1 or len(before.users) > 1:
            continue
        synapse: Any = module.get_submodule(before.target)
        dense = isinstance(synapse, nn.Linear) and len(before.meta.get("shape", (0, 0))) == 2
        if not (dense or isinstance(synapse, CONVOLUTIONS)):
            continue
        mean: Any = norm.running_mean
        variance: Any = norm.running_var
        synapse.weight, synapse.bias = fuse_conv_bn_weights(
            synapse.weight, synapse.bias, mean, variance, norm.eps, norm.weight, norm.bias
        )
        module.set_submodule(node.target, nn.Identity())
        folded[node.target] = before.target
    return folded
