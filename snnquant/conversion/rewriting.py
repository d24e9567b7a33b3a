"""From the graph of a CNN to layers that have a spiking form, or a line on what has none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from snnquant.config import NeuronConfig
from snnquant.conversion.folding import BATCH_NORMS, fold_in_place
from snnquant.conversion.fx_modules import as_module, tensors
from snnquant.conversion.hints import remedy
from snnquant.conversion.reference import ACTIVATIONS, KEPT, SYNAPSES, Node, Twin, ceiling
from snnquant.conversion.thresholds import units
from snnquant.conversion.tracing import BATCH, add_shapes, is_softmax, logits_node, trace, where
from snnquant.errors import InputError
from snnquant.nn import INPUT
from snnquant.nn.kinds import AVERAGE_POOLS, MAX_POOLS
from snnquant.nn.wiring import Mean, WeightedSum
from snnquant.spiking import SpikingNetwork

DEPTHWISE = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
TOLERANCE = 1e-3
"""Largest difference of two readings of a network, relative to its largest output."""


@dataclass(frozen=True)
class Match:
    """What became of one operation of the CNN.

    `source` is its name in the user's module, with the line of source, `found` its kind. `action`
    is matched (the same layer, weights rescaled), folded (into another layer), replaced (by
    something that spikes) or dropped; `layer` is the SNN's layer, `remark` what is worth knowing.
    """

    source: str
    found: str
    action: str
    layer: str
    remark: str = ""


def to_spiking(cnn: nn.Module, example: Tensor, config: NeuronConfig) -> SpikingNetwork:
    """A copy of a CNN with every ReLU replaced by a LIF layer (relu1 becomes lif1), threshold 1.

    The weights stay as they are: `convert` sets thresholds and rescales them. `example` is any
    input [N, ...] of the right shape. Raises InputError where `rewrite` does.
    """
    return rewrite(cnn, example)[0].spiking(config)


def rewrite(cnn: nn.Module, example: Tensor) -> tuple[Twin, list[Match]]:
    """The CNN as a graph of layers that have a spiking form, and what became of each operation.

    `cnn` is left as it is; `example` [N, ...] gives shapes, and the two are compared on it.
    Raises InputError, one line that names the operation, its line in the user's source and a
    remedy, where an operation has no spiking form.
    """
    module = copy.deepcopy(cnn).eval()
    graph = trace(module)
    expected = add_shapes(graph, module, example)
    rewriter = _Rewriter(module, graph, fold_in_place(module, graph))
    twin = Twin(rewriter.layers, rewriter.nodes, tuple(example.shape[1:])).eval()
    twin.to(example.device)  # sums that were made here are on the CPU
    units(twin, {name: 1.0 + i for i, name in enumerate(twin.activations())})  # can be told apart
    with torch.no_grad():
        found = twin(example[torch.arange(BATCH) % len(example)])
    off = (found - expected).abs().max() if found.shape == expected.shape else torch.nan
    if not off <= TOLERANCE * expected.abs().max():
        raise InputError(
            f"{type(cnn).__name__}: read as a graph it is another function (outputs differ by "
            f"{float(off):.3g}), expected finite outputs, and no operation that changes a value in "
            "place which is used again"
        )
    return twin, rewriter.matches


@dataclass
class _Rewriter:
    """Walks the graph once; `names` are the layers that hold the values of its nodes.

    `spikes` are the layers whose values are counted in spikes, not in the CNN's units.
    """

    module: nn.Module
    graph: fx.Graph
    folded: dict[str, str]
    layers: dict[str, nn.Module] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    matches: list[Match] = field(default_factory=list)
    names: dict[fx.Node, str] = field(default_factory=dict)
    spikes: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for node in self.graph.nodes:
            if node.op == "placeholder":
                self.names.setdefault(node, INPUT)  # the first; all others have constant values
            elif node.op == "output":
                self._finish(logits_node(self.graph, self.module))
            elif "shape" in node.meta or _holds_tensors(node.meta["value"]):
                self._operation(node)

    def _finish(self, end: fx.Node) -> None:
        """The output last, and in the CNN's units; without a ReLU there is nothing to convert."""
        if not any(isinstance(layer, ACTIVATIONS) for layer in self.layers.values()):
            found = type(self.module).__name__
            raise InputError(f"{found}: found no ReLU, expected at least one to become spikes")
        name = self.names[end]
        if name in self.spikes or name != next(reversed(self.layers)):
            self._add("output", WeightedSum([1.0]), end, [name])

    def _operation(self, node: fx.Node) -> None:
        found, layer = as_module(node, self.module)
        into = self.folded.get(str(node.target))
        if into is not None:
            self._pass_on(node, "BatchNorm", "folded", f"into {into}")
        elif self._is_dropped(node):
            self._pass_on(node, found, "dropped", "the largest output is the same one without it")
        elif isinstance(layer, nn.Identity):
            self._pass_on(node, found, "dropped", "does nothing")
        else:
            spiking = _spiking_form(node, layer)
            if spiking is None or node.meta.get("shape", ())[:1] != (BATCH,):
                raise InputError(f"{where(node)}: {remedy(node, layer, found)}")
            new, action, remark = spiking
            name = self._free_name(node, new)
            self._add(name, new, node, [self.names[source] for source in tensors(node)])
            self.names[node] = name
            self.matches.append(Match(where(node), found, action, name, remark))

    def _pass_on(self, node: fx.Node, found: str, action: str, remark: str) -> None:
        """Let a node that is gone stand for its input."""
        self.names[node] = self.names[tensors(node)[0]]
        self.matches.append(Match(where(node), found, action, self.names[node], remark))

    def _is_dropped(self, node: fx.Node) -> bool:
        """Whether a node is a softmax that nothing but the output comes after."""
        return is_softmax(node, self.module) and all(
            user.op == "output" or self._is_dropped(user) for user in node.users
        )

    def _free_name(self, node: fx.Node, layer: nn.Module) -> str:
        """The module's path; the node's name for a function, or a module that runs again."""
        path = str(node.target).replace(".", "_") if node.op == "call_module" else node.name
        name = node.name if path in self.paths else path
        self.paths.add(path)
        if isinstance(layer, ACTIVATIONS):
            name = name.replace("relu", "lif")
        while name in self.layers or name == INPUT or hasattr(nn.Sequential, name):
            name += "_"
        return name

    def _add(self, name: str, layer: nn.Module, node: fx.Node, sources: list[str]) -> None:
        self.layers[name] = layer
        self.nodes[name] = Node(tuple(sources), node.meta["shape"][1:], where(node))
        passes_on = not isinstance(layer, (*SYNAPSES, WeightedSum))
        if isinstance(layer, ACTIVATIONS) or (passes_on and self.spikes.intersection(sources)):
            self.spikes.add(name)


def _spiking_form(node: fx.Node, layer: nn.Module | None) -> tuple[nn.Module, str, str] | None:
    """The twin's layer, what it is to the CNN's, and a remark; None where there is none."""
    if isinstance(layer, ACTIVATIONS):
        limit = ceiling(layer)
        if isinstance(layer, nn.Hardtanh) and layer.min_val != 0:
            return None
        # New ones, because those of the CNN may work in place.
        if limit == float("inf"):
            return nn.ReLU(), "replaced", ""
        return nn.Hardtanh(0, limit), "replaced", f"clips at {limit:g}: no threshold above it"
    if isinstance(layer, SYNAPSES):
        plain = "weight" in dict(layer.named_parameters(recurse=False))
        return (copy.deepcopy(layer), "matched", "") if plain else None
    if isinstance(layer, BATCH_NORMS):
        kind = DEPTHWISE.get(len(node.meta["shape"]))
        if layer.running_mean is None or kind is None:
            return None
        remark = "no convolution right before it: a weight and a bias a channel"
        return _depthwise(layer, kind), "replaced", remark
    if isinstance(layer, MAX_POOLS):
        if getattr(layer, "return_indices", False):
            return None
        remark = "behind spikes: maximum of their counts, exact in the mean"
        return copy.deepcopy(layer), "replaced", remark
    if isinstance(layer, (*AVERAGE_POOLS, Mean)):
        remark = "behind spikes: what follows it receives averages, not spikes"
        return copy.deepcopy(layer), "matched", remark
    return (copy.deepcopy(layer), "matched", "") if isinstance(layer, KEPT) else None


@torch.no_grad()
def _depthwise(norm: Any, kind: Callable[..., nn.Module]) -> nn.Module:
    """The convolution of one weight a channel that computes what a batch norm does."""
    channels, mean = norm.num_features, norm.running_mean
    make: Any = torch.nn.utils.skip_init  # draws no random numbers
    layer: Any = make(
        kind, channels, channels, 1, groups=channels, dtype=mean.dtype, device=mean.device
    )
    scale = torch.rsqrt(norm.running_var + norm.eps)
    shift = -mean * scale
    if norm.affine:
        scale, shift = scale * norm.weight, shift * norm.weight + norm.bias
    layer.weight.copy_(scale.view_as(layer.weight))
    layer.bias.copy_(shift)
    return layer  # type: ignore[no-any-return]


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and any(isinstance(item, Tensor) for item in value)
