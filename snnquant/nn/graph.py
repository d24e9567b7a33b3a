"""A network as data: layers, their settings and what each takes its inputs from, as JSON.

So a network of the user's own, once its code was run and read, needs that code no more.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn.convolutions import Conv2d, Conv3d
from snnquant.nn.kinds import AVERAGE_POOLS, DROPOUTS, MAX_POOLS, PADS
from snnquant.nn.wiring import Concatenate, Mean, Permute, Reshape, WeightedSum

INPUT = "input"
"""The network's own input among the names that a layer takes its inputs from."""


class Sum(nn.Module):
    """Sum of its inputs, each times a fixed weight, as plain arithmetic that can be traced."""

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.weights = tuple(weights)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Sum over the inputs, of shapes that broadcast."""
        terms = [
            x if weight == 1 else x * weight for weight, x in zip(self.weights, inputs, strict=True)
        ]
        total, *others = terms
        for term in others:
            total = total + term
        return total


KINDS: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        *(nn.Conv1d, Conv2d, Conv3d, nn.Linear, nn.ReLU, nn.Hardtanh, nn.Identity),
        *(nn.Flatten, nn.Unflatten, Permute, Reshape, Concatenate, Mean, Sum),
        *(*DROPOUTS, *AVERAGE_POOLS, *MAX_POOLS, *PADS),
    )
}
"""Layers that a graph may hold."""
OMITTED = ("self", "device", "dtype", "inplace", "return_indices", "min_value", "max_value")
"""Settings that change nothing here, or are another's old name."""
LARGEST = 2**28
"""Values that one layer may hold for a patch: a file's graph must not fill the memory."""


class GraphNetwork(nn.Module):
    """Layers by name, each with the names of the layers, or `INPUT`, that it takes its inputs from.

    Layers run in their order; the last one's output is the network's. A `WeightedSum` becomes a
    `Sum`, so that the network can be traced like any other.
    """

    def __init__(
        self, layers: Mapping[str, nn.Module], inputs: Mapping[str, Sequence[str]]
    ) -> None:
        super().__init__()
        named = {
            name: Sum(layer.weights.tolist()) if isinstance(layer, WeightedSum) else layer
            for name, layer in layers.items()
        }
        self.layers = nn.Sequential(OrderedDict(named))
        self.inputs = {name: tuple(sources) for name, sources in inputs.items()}

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, K] of patches [N, 1, B, h, w]."""
        values = {INPUT: x}
        for (name, sources), layer in zip(self.inputs.items(), self.layers, strict=True):
            values[name] = layer(*(values[source] for source in sources))
        return values[name]

    def describe(self) -> list[dict[str, Any]]:
        """A row a layer as JSON values: name, kind, settings, inputs. The weights are not in it.

        Raises InputError for a layer that is none of `KINDS`.
        """
        return [
            {"name": name, **_described(name, layer), "inputs": list(self.inputs[name])}
            for name, layer in self.layers.named_children()
        ]


def build_graph(rows: Any, bands: int, window: int, most: int) -> GraphNetwork:
    """The network that `GraphNetwork.describe` described, with new weights.

    Raises InputError for rows that describe none, for more than `most` parameters, and for one
    that does not run on patches [N, 1, bands, window, window], or only with a vast memory.
    """
    with torch.device("meta"):  # what a file makes up is sized before anything is allocated
        sized = _built(rows)
        if sum(parameter.numel() for parameter in sized.parameters()) > most:
            raise InputError(f"graph: found more parameters than the {most:,} numbers of the file")
        _require_runs(sized, torch.empty(1, 1, bands, window, window))
    return _built(rows)


def _described(name: str, layer: nn.Module) -> dict[str, Any]:
    kind = next((kind for kind, cls in KINDS.items() if isinstance(layer, _plain(cls))), None)
    if kind is None:
        raise InputError(f"layer {name}: found {type(layer).__name__}, expected one of {[*KINDS]}")
    settings = {}
    for setting in inspect.signature(_plain(KINDS[kind]).__init__).parameters:
        if setting not in OMITTED and hasattr(layer, setting):
            value = getattr(layer, setting)
            if setting == "bias":
                value = value is not None
            settings[setting] = value
    return {"kind": kind, "settings": settings}


def _plain(kind: type[nn.Module]) -> type[nn.Module]:
    """torch's own class of a convolution that is computed in another way here."""
    plain: dict[type[nn.Module], type[nn.Module]] = {Conv2d: nn.Conv2d, Conv3d: nn.Conv3d}
    return plain.get(kind, kind)


def _built(rows: Any) -> GraphNetwork:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs: dict[str, tuple[str, ...]] = {}
    try:
        for row in rows:
            name, sources = row["name"], tuple(row["inputs"])
            if not sources or not all(source == INPUT or source in layers for source in sources):
                raise InputError(f"graph: layer {name!r} takes {sources}, expected earlier layers")
            settings = {key: _tuples(value) for key, value in row["settings"].items()}
            layers[name], inputs[name] = KINDS[row["kind"]](**settings), sources
        network = GraphNetwork(layers, inputs)
    except InputError:
        raise
    except Exception as error:  # a row may hold anything
        reason = " ".join(str(error).split())
        raise InputError(f"graph: no network ({type(error).__name__}: {reason})") from None
    if not layers or len(layers) != len(rows):
        raise InputError(f"graph: found {len(layers)} layers, expected one a row")
    return network


def _require_runs(network: GraphNetwork, patch: Tensor) -> None:
    """InputError where it does not run on a patch of meta tensors, or holds vast ones."""
    sizes: list[int] = []
    handles = [
        layer.register_forward_hook(lambda module, inputs, output: sizes.append(output.numel()))
        for layer in network.layers
    ]
    try:
        network.eval()(patch)
    except Exception as error:  # whatever a layer says about a wrong shape
        reason = " ".join(str(error).split())
        found = tuple(patch.shape)
        raise InputError(f"graph: does not run on patches of shape {found} ({reason})") from None
    finally:
        for handle in handles:
            handle.remove()
    if max(sizes) > LARGEST:
        raise InputError(
            f"graph: a layer holds {max(sizes):,} values, expected at most {LARGEST:,}"
        )


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, which torch's layers take."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
