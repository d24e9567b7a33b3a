"""Graphs of layers: named modules, where each takes its inputs from, and their form as JSON.

A network of the user's own that was read once needs its code no more: the JSON form and the weights
are all of it.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.nn.convolutions import Conv2d, Conv3d
from snnquant.nn.hooks import recording
from snnquant.nn.kinds import AVERAGE_POOLS, DROPOUTS, MAX_POOLS, PADS
from snnquant.nn.wiring import Concatenate, Mean, Permute, PopulationMean, Reshape, Sum

INPUT = "input"
"""The network's own input among the names that a layer takes its inputs from."""


class Graph(nn.Module):
    """A feed-forward network as named layers, each with the names of the layers that feed it.

    Layers run in their order; the output of the last is the network's.

    Args:
        layers: The modules by name, in an order in which they can run.
        inputs: The earlier layers, or `INPUT`, whose outputs a layer takes. A layer that is not
            named takes the output of the layer before it.

    Raises:
        InputError: For an input that is no earlier layer, and for a reserved name of a layer.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from snnquant.nn import INPUT, Graph
        >>> from snnquant.nn.wiring import Sum
        >>> residual = Graph(
        ...     {"dense": nn.Linear(3, 3), "add": Sum([1.0, 1.0])},
        ...     {"add": ["dense", INPUT]},
        ... )
        >>> residual(torch.zeros(2, 3)).shape
        torch.Size([2, 3])
        >>> residual.inputs
        {'dense': ('input',), 'add': ('dense', 'input')}
    """

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        inputs: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        self.inputs = _with_predecessors(list(layers), inputs or {})
        self.layers = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output, logits [N, K] of a classifier, of inputs x [N, ...]."""
        values = {INPUT: x}
        for (name, sources), layer in zip(self.inputs.items(), self.layers, strict=True):
            values[name] = layer(*(values[source] for source in sources))
        return values[name]


class GraphNetwork(Graph):
    """A CNN as a graph of layers that has a form as JSON.

    Example:
        >>> from torch import nn
        >>> from snnquant.nn import GraphNetwork, build_graph
        >>> cnn = GraphNetwork({"flatten": nn.Flatten(), "classifier": nn.Linear(20, 3)})
        >>> rows = cnn.describe()
        >>> [(row["name"], row["kind"], row["inputs"]) for row in rows]
        [('flatten', 'Flatten', ['input']), ('classifier', 'Linear', ['flatten'])]
        >>> again = build_graph(rows, bands=20, window=1, max_parameters=63)
        >>> again.load_state_dict(cnn.state_dict())
        <All keys matched successfully>
    """

    def describe(self) -> list[dict[str, Any]]:
        """Describe every layer as JSON values: name, kind, settings and inputs, without weights.

        Raises InputError for a layer that is none of `GRAPH_LAYERS`.
        """
        return [
            {"name": name, **_described(name, layer), "inputs": list(self.inputs[name])}
            for name, layer in self.layers.named_children()
        ]


GRAPH_LAYERS: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        *(nn.Conv1d, Conv2d, Conv3d, nn.Linear, nn.ReLU, nn.Hardtanh, nn.Identity),
        *(nn.Flatten, nn.Unflatten, Permute, Reshape, Concatenate, PopulationMean, Mean, Sum),
        *(*DROPOUTS, *AVERAGE_POOLS, *MAX_POOLS, *PADS, nn.Upsample),
    )
}
"""Layers that a graph's JSON form may hold, by their kind."""
OMITTED = ("self", "device", "dtype", "inplace", "return_indices", "min_value", "max_value")
"""Settings that change nothing here, or are another's old name."""
MAX_LAYER_VALUES = 2**28
"""Values that one layer may hold for a patch: a file's graph must not fill the memory."""


def build_graph(rows: Any, bands: int, window: int, max_parameters: int) -> GraphNetwork:
    """Build the network that `GraphNetwork.describe` described, with new weights.

    Args:
        rows: The description, as read from a file that may hold anything.
        bands: Bands of the patches [N, 1, bands, window, window] that the network takes.
        window: Height and width of the patches, pixels.
        max_parameters: Trainable numbers that the network may have.

    Returns:
        The network, in training mode.

    Raises:
        InputError: For rows that describe no network, for one of more parameters, and for one that
            does not run on these patches, or only with a vast memory.
    """
    with torch.device("meta"):  # a file may state any size: nothing is allocated yet
        sized = _built(rows)
        if sum(parameter.numel() for parameter in sized.parameters()) > max_parameters:
            raise InputError(
                f"graph: found more parameters than the {max_parameters:,} numbers of the file"
            )
        _require_runs(sized, torch.empty(1, 1, bands, window, window))
    return _built(rows)


def _with_predecessors(
    names: list[str], inputs: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Complete the inputs of every layer; InputError for a name that is no earlier layer."""
    for name in inputs:
        if name not in names:
            raise InputError(f"inputs: found {name!r}, expected one of the layers {names}")
    wiring: dict[str, tuple[str, ...]] = {}
    before = INPUT
    for name in names:
        if name == INPUT or "." in name or hasattr(nn.Sequential, name):
            raise InputError(f"layer {name}: found a name that is reserved, expected another")
        sources = tuple(inputs.get(name, (before,)))
        if not sources:
            raise InputError(f"layer {name}: found no input, expected an earlier layer")
        for source in sources:
            if source not in (INPUT, *wiring):
                raise InputError(f"layer {name}: found input {source!r}, expected an earlier layer")
        wiring[name] = sources
        before = name
    return wiring


def _described(name: str, layer: nn.Module) -> dict[str, Any]:
    kinds = GRAPH_LAYERS.items()
    kind = next((kind for kind, cls in kinds if isinstance(layer, _torch_class(cls))), None)
    if kind is None:
        found = type(layer).__name__
        raise InputError(f"layer {name}: found {found}, expected one of {[*GRAPH_LAYERS]}")
    settings = {}
    for setting in inspect.signature(_torch_class(GRAPH_LAYERS[kind]).__init__).parameters:
        if setting not in OMITTED and hasattr(layer, setting):
            value = getattr(layer, setting)
            if setting == "bias":
                value = value is not None
            settings[setting] = value
    return {"kind": kind, "settings": settings}


def _torch_class(kind: type[nn.Module]) -> type[nn.Module]:
    """Return torch's own class of a convolution that is computed in another way here."""
    classes: dict[type[nn.Module], type[nn.Module]] = {Conv2d: nn.Conv2d, Conv3d: nn.Conv3d}
    return classes.get(kind, kind)


def _built(rows: Any) -> GraphNetwork:
    layers: dict[str, nn.Module] = {}
    inputs: dict[str, tuple[str, ...]] = {}
    try:
        for row in rows:
            name, settings = row["name"], row["settings"].items()
            layers[name] = GRAPH_LAYERS[row["kind"]](**{key: _tuples(v) for key, v in settings})
            inputs[name] = tuple(row["inputs"])
        if not layers or len(layers) != len(rows):
            raise InputError(f"found {len(layers)} layers, expected one per row")
        return GraphNetwork(layers, inputs)
    except InputError as error:
        raise InputError(f"graph: {error}") from None
    except Exception as error:  # a row may hold anything
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"graph: no network ({reason})") from None


def _require_runs(network: GraphNetwork, patch: Tensor) -> None:
    """Raise InputError where it does not run on a patch of meta tensors, or holds vast ones."""
    sizes: list[int] = []
    layers = dict(network.layers.named_children())
    try:
        with recording(layers, lambda *call: sizes.append(call[-1].numel())):
            network.eval()(patch)
    except Exception as error:  # layers raise any of them for a wrong shape
        found = tuple(patch.shape)
        raise InputError(
            f"graph: does not run on patches of shape {found} ({one_line(error)})"
        ) from None
    if max(sizes) > MAX_LAYER_VALUES:
        raise InputError(
            f"graph: a layer holds {max(sizes):,} values, expected at most {MAX_LAYER_VALUES:,}"
        )


def _tuples(value: Any) -> Any:
    """Turn JSON's lists into tuples, which torch's layers take."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
