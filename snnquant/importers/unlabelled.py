"""CNNs with one output more than classes, for pixels without a label: they lose that output."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from snnquant.nn import GraphNetwork
from snnquant.nn.kinds import AVERAGE_POOLS, CONVOLUTIONS, DROPOUTS
from snnquant.nn.wiring import Mean, Reshape

PASSES_ON = (*AVERAGE_POOLS, *DROPOUTS, nn.Identity, nn.Flatten, Mean)
"""Layers after the last synapse that treat every class alike."""
REMARK = (
    "{found} outputs for {classes} classes: the first, for unlabelled pixels (class 0), is left out"
)


def without_first_rows(
    state: Mapping[str, Tensor], like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return tensors of the shapes in `like`, without the first row of those that are longer.

    >>> wide = {"weight": torch.tensor([[0.0], [1.0], [2.0]])}
    >>> without_first_rows(wide, {"weight": torch.empty(2, 1)})["weight"].tolist()
    [[1.0], [2.0]]
    """
    return {
        name: state[name][1:] if state[name].shape != tensor.shape else state[name]
        for name, tensor in like.items()
    }


@torch.no_grad()
def without_first_output(network: GraphNetwork, example: Tensor) -> GraphNetwork:
    """Return a network without the first of its outputs.

    The last layer with weights is cut where only layers come after it that treat all classes alike;
    otherwise a layer that leaves the output out is appended.

    Args:
        network: The network; it is not changed.
        example: Inputs [N, ...], on which both are compared.
    """
    expected = network(example)[:, 1:]
    cut = _cut(copy.deepcopy(network), expected.shape[1])
    if cut is not None:
        try:
            found = cut(example)
        except RuntimeError:  # a shape further on counts on the output
            found = expected[:0]
        if found.shape == expected.shape and torch.allclose(found, expected, atol=1e-5):
            return cut
    select = nn.Linear(expected.shape[1] + 1, expected.shape[1], bias=False)
    select.weight.copy_(torch.eye(expected.shape[1] + 1)[1:])
    last = next(reversed(network.inputs))
    layers = dict(network.layers.named_children()) | {"classes": select}
    return GraphNetwork(layers, {**network.inputs, "classes": (last,)}).eval()


def _cut(network: GraphNetwork, classes: int) -> GraphNetwork | None:
    """Cut the last layer with weights, in place; None where another layer needs its output."""
    layers = dict(network.layers.named_children())
    name = next(reversed(layers))
    while True:
        layer = layers[name]
        if isinstance(layer, Reshape) and layer.shape[0] == classes + 1:
            layer.shape = (classes, *layer.shape[1:])
        elif isinstance(layer, (nn.Linear, *CONVOLUTIONS)):
            break
        elif not isinstance(layer, PASSES_ON):
            return None
        (name,) = network.inputs[name]
        users = [user for user, sources in network.inputs.items() if name in sources]
        if name not in layers or len(users) != 1:
            return None
    if len(layer.weight) != classes + 1 or getattr(layer, "groups", 1) != 1:
        return None
    layer.weight = nn.Parameter(layer.weight[1:].clone())
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[1:].clone())
    setattr(layer, "out_features" if isinstance(layer, nn.Linear) else "out_channels", classes)
    return network
