r"""Start of residual networks without norm, after Fixup.

Of L branches of m layers each, the last layer of a branch and the classifier start at 0, and the
other layers of a branch with the deviation of He times :math:`L^{-1/(2m-2)}`, so that every block
starts as its shortcut and a step changes the outputs as little as in a shallow network. Biases per
channel take the place of the method's scalar ones; its scalar scale per branch is left to weights.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from snnquant.errors import InputError
from snnquant.nn.graph import Graph
from snnquant.nn.kinds import SYNAPSES
from snnquant.nn.wiring import Sum
from snnquant.quantization.edge_of_chaos import draw_weights
from snnquant.quantization.passes.observed_layers import spikes
from snnquant.quantization.plan import Calibration


@torch.no_grad()
def fixup(network: nn.Module, seen: Calibration, seed: int = 0) -> None:
    """Draw the weights of a residual CNN anew, in place; an SNN keeps its own.

    Args:
        network: Network in floating point without batch norm.
        seen: Training pixels, which are not looked at.
        seed: Seed of the weights.

    Raises:
        InputError: A CNN has no residual blocks.
    """
    if spikes(network):
        return
    branches = residual_branches(network) if isinstance(network, Graph) else []
    if not branches:
        raise InputError(
            f"fixup: found {type(network).__name__} without residual blocks, expected a residual "
            "network such as --model resnet3d"
        )
    draw_weights(network, math.sqrt(2), 0.0, seed)
    for last, *others in branches:
        nn.init.zeros_(last.get_parameter("weight"))
        for layer in others:
            layer.get_parameter("weight").mul_(len(branches) ** (-0.5 / len(others)))
    classifier = [m for m in network.modules() if isinstance(m, SYNAPSES)][-1]
    nn.init.zeros_(classifier.weight)


def residual_branches(network: Graph) -> list[list[nn.Module]]:
    """Return the layers with weights of every block's branch, the last of a branch first.

    Of the ways into a sum, the branch is the one of most such layers since they parted.
    """
    layers = dict(network.layers.named_children())
    weighted = {name for name, layer in layers.items() if isinstance(layer, SYNAPSES)}
    found = []
    for name, sources in network.inputs.items():
        if not isinstance(layers[name], Sum):
            continue
        ways = [_way_back(network, source) for source in sources]
        shared = set.intersection(*map(set, ways))
        own: list[list[nn.Module]] = [
            [layers[step] for step in way if step in weighted and step not in shared]
            for way in ways
        ]
        found.append(max(own, key=len))
    return [branch for branch in found if branch]


def _way_back(network: Graph, name: str) -> list[str]:
    """Return a layer and those before it, each the first input of the one after."""
    way = [name]
    while way[-1] in network.inputs:
        way.append(network.inputs[way[-1]][0])
    return way
