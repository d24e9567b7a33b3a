"""Normalisation inside an imported CNN: it becomes part of the scaling of the pixels."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.nn import INPUT, GraphNetwork
from snnquant.nn.kinds import CONVOLUTIONS, DROPOUTS, PADS, SHAPES, SYNAPSES
from snnquant.nn.wiring import Sum
from snnquant.sampling import Normalisation

REMARK = "the normalisation inside the CNN is part of the scaling of the pixels now, not a layer"


@torch.no_grad()
def fold_input_scaling(
    network: GraphNetwork, normalisation: Normalisation, patch: tuple[int, ...]
) -> tuple[GraphNetwork, Normalisation, set[str]]:
    """Move factors and terms per band before a CNN's first layer into the scaling of its pixels.

    The result is the same up to rounding, padding of the first layer included, and the first layer
    that is counted and priced is the CNN's own. Nothing is moved where a factor is not positive,
    where principal components are taken, or where other than convolutions and dense layers take the
    scaled pixels.

    Args:
        network: The CNN; it is not changed.
        normalisation: Scaling of the pixels that it takes.
        patch: Shape of its patches, (1, bands, window, window).

    Returns:
        The CNN, the scaling of the pixels that it takes now, and the names of the layers that are
        gone, often none.

    >>> import numpy as np
    >>> layers = {"scale": Sum([0.5]), "flatten": nn.Flatten(), "dense": nn.Linear(2, 3)}
    >>> pixels = Normalisation(np.zeros(2, np.float32), np.ones(2, np.float32))
    >>> folded, pixels, gone = fold_input_scaling(GraphNetwork(layers), pixels, (1, 2, 1, 1))
    >>> list(folded.inputs), pixels.std.tolist(), gone
    (['flatten', 'dense'], [2.0, 2.0], {'scale'})
    """
    layers = dict(network.layers.named_children())
    chain = list(_chain(network, layers))
    scalings = [name for name in chain if not isinstance(layers[name], SHAPES)]
    if not scalings or normalisation.components is not None:
        return network, normalisation, set()
    last = chain.index(scalings[-1]) + 1
    bands = _per_band([layers[name] for name in chain[:last]], patch)
    if bands is None or not _only_synapses_take(network, layers, chain[last - 1]):
        return network, normalisation, set()
    scale, shift = bands
    std = torch.from_numpy(normalisation.std).double() / scale
    mean = torch.from_numpy(normalisation.mean).double() - shift * std
    moved = replace(normalisation, mean=mean.float().numpy(), std=std.float().numpy())
    gone = set(scalings)
    for end in range(last, len(chain) + 1):  # axes that are turned there and back
        places = _places(patch)
        if torch.equal(_run([layers[n] for n in chain[:end] if n not in gone], places), places):
            gone |= set(chain[:end])
    return _without(network, layers, gone), moved, gone


def _chain(network: GraphNetwork, layers: dict[str, nn.Module]) -> Iterator[str]:
    """Yield the layers after the input that only scale or reorder it, one taking the other's."""
    name = INPUT
    while True:
        users = [user for user, sources in network.inputs.items() if name in sources]
        if len(users) != 1 or network.inputs[users[0]] != (name,):
            return
        (name,) = users
        if not isinstance(layers[name], SHAPES) and not _only_scales(layers[name]):
            return
        yield name


def _only_scales(layer: Any) -> bool:
    """Tell whether a layer has one factor, and perhaps one term, per channel or for all."""
    if isinstance(layer, Sum):
        return len(layer.weights) == 1
    return (
        isinstance(layer, CONVOLUTIONS)
        and layer.groups == layer.in_channels == layer.out_channels
        and set((*layer.kernel_size, *layer.stride)) == {1}
        and set(layer.padding) == {0}
    )


def _only_synapses_take(network: GraphNetwork, layers: dict[str, nn.Module], name: str) -> bool:
    users = [user for user, sources in network.inputs.items() if name in sources]
    passes_on = (*SHAPES, *PADS, *DROPOUTS)
    return bool(users) and all(
        isinstance(layers[user], SYNAPSES)
        or (isinstance(layers[user], passes_on) and _only_synapses_take(network, layers, user))
        for user in users
    )


def _per_band(layers: list[nn.Module], patch: tuple[int, ...]) -> tuple[Tensor, Tensor] | None:
    """Return factor and term [B] of every band, float64; None where they differ within a band."""
    doubles = [copy.deepcopy(layer).double() for layer in layers]
    shift = _run(doubles, torch.zeros(1, *patch, dtype=torch.float64))
    for layer in doubles:
        if isinstance(layer, CONVOLUTIONS):
            layer.bias = None
    scale = _run(doubles, torch.ones(1, *patch, dtype=torch.float64))
    shapes = [layer for layer in layers if isinstance(layer, SHAPES)]
    band = _run(shapes, _places(patch)) // (patch[-2] * patch[-1])
    found = []
    for values in (scale, shift):
        of_band = torch.zeros(patch[1], dtype=torch.float64)
        of_band[band] = values
        if not torch.allclose(of_band[band], values, rtol=1e-9, atol=0):
            return None
        found.append(of_band)
    usable = (found[0] > 0) & found[0].isfinite() & found[1].isfinite()
    return (found[0], found[1]) if usable.all() else None


def _places(patch: tuple[int, ...]) -> Tensor:
    """Return the places of the values of a patch, from 0, in its shape."""
    return torch.arange(torch.Size(patch).numel()).view(1, *patch)


def _run(layers: Sequence[nn.Module], values: Tensor) -> Tensor:
    for layer in layers:
        values = layer(values)
    return values


def _without(network: GraphNetwork, layers: dict[str, nn.Module], gone: set[str]) -> GraphNetwork:
    """Return the network without layers that have one input each."""

    def kept(name: str) -> str:
        return kept(network.inputs[name][0]) if name in gone else name

    rest = {name: copy.deepcopy(layer) for name, layer in layers.items() if name not in gone}
    inputs = {name: tuple(kept(source) for source in network.inputs[name]) for name in rest}
    return GraphNetwork(rest, inputs).eval()
