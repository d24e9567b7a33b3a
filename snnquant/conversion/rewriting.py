"""Rewriting of a CNN as layers that have a spiking form, or a line on what has none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from snnquant.config import NeuronConfig
from snnquant.conversion.clips import find_clips
from snnquant.conversion.folding import fold_in_place
from snnquant.conversion.fx_modules import as_module, per_channel_steps, tensors
from snnquant.conversion.hints import hint
from snnquant.conversion.reference import Origin, ReferenceCNN, ceiling
from snnquant.conversion.thresholds import spike_scales
from snnquant.errors import InputError
from snnquant.nn import INPUT, GraphNetwork
from snnquant.nn.builders import zero_pad
from snnquant.nn.kinds import (
    ACTIVATIONS,
    AVERAGE_POOLS,
    BATCH_NORMS,
    CONVOLUTIONS,
    DROPOUTS,
    MAX_POOLS,
    PADS,
    SHAPES,
    SYNAPSES,
    UPSAMPLES,
)
from snnquant.nn.tracing import (
    BATCH,
    add_shapes,
    is_softmax,
    logits_node,
    operation,
    trace,
    where,
)
from snnquant.nn.wiring import Concatenate, Mean, Reshaped, Sum
from snnquant.quantization.activations import QuantizedReLU
from snnquant.spiking import SpikingNetwork

KEPT = (*DROPOUTS, *SHAPES, *PADS, Sum, Concatenate)
"""Layers without weights that are the same in an SNN."""
WITHIN: dict[type, str] = {Reshaped: "network.", GraphNetwork: "layers."}
"""Start of the paths of a user's modules in the networks of this package around them."""
TOLERANCE = 1e-3
"""Largest difference of two readings of a network, relative to its largest output."""


@dataclass(frozen=True)
class Match:
    """An operation of the CNN and its counterpart in the SNN.

    Attributes:
        source: Name of the operation in the user's module, after the line of source.
        found: Kind of the operation.
        action: `matched` (the same layer, weights rescaled), `folded` (into another layer),
            `replaced` (by a layer that spikes) or `dropped`.
        layer: Name of the SNN's layer.
        remark: A note for the user, often empty.
    """

    source: str
    found: str
    action: str
    layer: str
    remark: str = ""


def to_spiking(cnn: nn.Module, example: Tensor, config: NeuronConfig) -> SpikingNetwork:
    """Copy a CNN with every ReLU replaced by a LIF layer of threshold 1 (relu1 becomes lif1).

    The weights stay as they are: `convert` sets thresholds and rescales weights.

    Args:
        cnn: A trained CNN in any state of training; it is not changed.
        example: Any input [N, ...] of the right shape.
        config: Neurons and time steps of the SNN.

    Returns:
        The SNN, which takes the CNN's inputs.

    Raises:
        InputError: One line that names an operation without a spiking form, its line in the user's
            source and what to do about it.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from snnquant.config import NeuronConfig
        >>> from snnquant.conversion import to_spiking
        >>> cnn = nn.Sequential(nn.Flatten(), nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> snn = to_spiking(cnn, torch.zeros(1, 1, 30, 1, 1), NeuronConfig(time_steps=5))
        >>> [type(layer).__name__ for layer in snn.layers]
        ['Flatten', 'Linear', 'LIF', 'Linear']
        >>> snn(torch.zeros(7, 1, 30, 1, 1)).shape
        torch.Size([7, 3])
    """
    return rewrite(cnn, example)[0].spiking(config)


def rewrite(cnn: nn.Module, example: Tensor) -> tuple[ReferenceCNN, list[Match]]:
    """Rewrite a CNN as a graph of layers that have a spiking form.

    Args:
        cnn: The CNN; it is not changed.
        example: An input [N, ...], which gives the shapes; both are compared on it.

    Returns:
        The graph in evaluation mode, and a row per operation of the CNN.

    Raises:
        InputError: One line that names an operation without a spiking form, its line in the user's
            source and what to do about it.
    """
    module = copy.deepcopy(cnn).eval()
    graph = trace(module)
    expected = add_shapes(graph, module, example)
    rewriter = _Rewriter(module, graph, fold_in_place(module, graph))
    layers, inputs, origins = rewriter.layers, rewriter.inputs, rewriter.origins
    reference = ReferenceCNN(layers, inputs, origins, tuple(example.shape[1:])).eval()
    different = {name: 1.0 + i for i, name in enumerate(reference.activations())}
    spike_scales(reference, different)  # refuses layers that mix spikes of several thresholds
    with torch.no_grad():
        found = reference(example[torch.arange(BATCH) % len(example)])
    off = (found - expected).abs().max() if found.shape == expected.shape else torch.nan
    if not off <= TOLERANCE * expected.abs().max():
        raise InputError(
            f"{type(cnn).__name__}: read as a graph it is another function (outputs differ by "
            f"{float(off):.3g}), expected finite outputs, and no operation that changes a value in "
            "place which is used again"
        )
    return reference, rewriter.matches


@dataclass
class _Rewriter:
    """A walk through the graph; `names` are the layers that hold the values of its nodes.

    `spikes` are the layers whose outputs are spikes, or of their unit, and not the CNN's values.
    """

    module: nn.Module
    graph: fx.Graph
    folded: dict[str, str]
    layers: dict[str, nn.Module] = field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    matches: list[Match] = field(default_factory=list)
    names: dict[fx.Node, str] = field(default_factory=dict)
    spikes: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.clips = find_clips(self.graph)
        hidden = {node for clip in self.clips.values() for node in clip.inside}
        for node in self.graph.nodes:
            if node in hidden or self._is_affine_constant(node):
                continue
            if node.op == "placeholder":
                self.names.setdefault(node, INPUT)  # the first; all others have constant values
            elif node.op == "output":
                self._finish(logits_node(self.graph, self.module))
            elif "shape" in node.meta or _holds_tensors(node.meta["value"]):
                self._operation(node)

    def _finish(self, end: fx.Node) -> None:
        """Put the output last and in the CNN's unit; refuse a CNN without a ReLU."""
        if not any(isinstance(layer, ACTIVATIONS) for layer in self.layers.values()):
            found = type(self.module).__name__
            raise InputError(f"{found}: found no ReLU, expected at least one to become spikes")
        name = self.names[end]
        if name in self.spikes or name != next(reversed(self.layers)):
            self._add("output", Sum([1.0]), end, [name])

    def _is_affine_constant(self, node: fx.Node) -> bool:
        """Check whether a parameter only scales or shifts channels."""
        return node.op == "get_attr" and all(
            per_channel_steps(user, self.module) is not None for user in node.users
        )

    def _operation(self, node: fx.Node) -> None:
        clip = self.clips.get(node)
        if clip is not None:
            layer: nn.Module | None = clip.layer
            found = operation(node)
        else:
            found, layer = as_module(node, self.module)
        steps = per_channel_steps(node, self.module)
        if steps is not None:
            self._add_steps(node, found, steps)
            return
        into = self.folded.get(str(node.target))
        if into is not None:
            self._pass_on(node, "BatchNorm", "folded", f"into {into}")
        elif self._is_dropped(node):
            self._pass_on(
                node, found, "dropped", "the class of the largest output is the same without it"
            )
        elif isinstance(layer, nn.Identity):
            self._pass_on(node, found, "dropped", "does nothing")
        else:
            spiking = _spiking_form(node, layer)
            if spiking is None or node.meta.get("shape", ())[:1] != (BATCH,):
                raise InputError(f"{where(node)}: {hint(node, layer, found)}")
            new, action, remark = spiking
            name = self._free_name(node, new)
            given = [clip.source] if clip is not None else tensors(node)
            sources = [self.names[source] for source in given]
            pad = _uneven_padding(new)
            if pad is not None:
                before = torch.empty(1, *tensors(node)[0].meta["shape"][1:], device="meta")
                self._add(f"{name}_pad", pad, node, sources, pad(before).shape[1:])
                sources = [f"{name}_pad"]
            self._add(name, new, node, sources)
            self.names[node] = name
            self.matches.append(Match(where(node), found, action, name, remark))

    def _add_steps(self, node: fx.Node, found: str, steps: list[nn.Module]) -> None:
        """Add the layers that scale or shift the channels of a node's input."""
        source = next(source for source in tensors(node) if source.op != "get_attr")
        sources, values = [self.names[source]], torch.empty(1, *node.meta["shape"][1:])
        for layer in steps:
            values = layer(values)
            name = self._free_name(node, layer)
            self._add(name, layer, node, sources, tuple(values.shape[1:]))
            sources = [name]
        self.names[node] = sources[0]
        remark = "a weight and a bias per channel"
        self.matches.append(Match(where(node), found, "replaced", sources[0], remark))

    def _pass_on(self, node: fx.Node, found: str, action: str, remark: str) -> None:
        """Let a node that is gone stand for its input."""
        self.names[node] = self.names[tensors(node)[0]]
        self.matches.append(Match(where(node), found, action, self.names[node], remark))

    def _is_dropped(self, node: fx.Node) -> bool:
        """Check whether a node is a softmax that only the output comes after."""
        return is_softmax(node, self.module) and all(
            user.op == "output" or self._is_dropped(user) for user in node.users
        )

    def _free_name(self, node: fx.Node, layer: nn.Module) -> str:
        """Return the module's path; the node's name for a function or a module that runs again."""
        path = node.name
        if node.op == "call_module":
            path = str(node.target).removeprefix(WITHIN.get(type(self.module), ""))
            path = path.replace(".", "_")
        name = node.name if path in self.paths else path
        self.paths.add(path)
        if isinstance(layer, ACTIVATIONS):
            name = name.replace("relu", "lif")
        while name in self.layers or name == INPUT or hasattr(nn.Sequential, name):
            name += "_"
        return name

    def _add(
        self,
        name: str,
        layer: nn.Module,
        node: fx.Node,
        sources: list[str],
        shape: tuple[int, ...] | None = None,
    ) -> None:
        """Add a layer; `shape` of its output is the node's unless given."""
        self.layers[name] = layer
        self.inputs[name] = tuple(sources)
        self.origins[name] = Origin(shape or node.meta["shape"][1:], where(node))
        passes_on = not isinstance(layer, (*SYNAPSES, Sum))
        if isinstance(layer, ACTIVATIONS) or (passes_on and self.spikes.intersection(sources)):
            self.spikes.add(name)


def _spiking_form(node: fx.Node, layer: nn.Module | None) -> tuple[nn.Module, str, str] | None:
    """Return the reference's layer, the action and a remark; None where there is no such layer."""
    if isinstance(layer, ACTIVATIONS):
        limit = ceiling(layer)
        if isinstance(layer, QuantizedReLU):
            remark = f"clips at {limit:g}, which becomes the threshold"
            return copy.deepcopy(layer), "replaced", remark
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
        axes = len(node.meta["shape"]) - 2
        if layer.running_mean is None or axes < 1:
            return None
        remark = "no convolution right before it: a weight and a bias per channel"
        return _depthwise(layer, CONVOLUTIONS[axes - 1]), "replaced", remark
    if isinstance(layer, MAX_POOLS):
        if getattr(layer, "return_indices", False):
            return None
        remark = "after spikes: maximum of their counts, exact in the mean"
        return copy.deepcopy(layer), "replaced", remark
    if isinstance(layer, (*AVERAGE_POOLS, Mean)):
        remark = "after spikes: what follows it receives averages, not spikes"
        return copy.deepcopy(layer), "matched", remark
    if isinstance(layer, UPSAMPLES):
        size, factor, mode = layer.size, layer.scale_factor, layer.mode
        return (nn.Upsample(size, factor), "matched", "") if mode == "nearest" else None
    return (copy.deepcopy(layer), "matched", "") if isinstance(layer, KEPT) else None


def _uneven_padding(layer: Any) -> nn.Module | None:
    """Take padding="same" that is longer after an axis than before it out of a convolution."""
    if not isinstance(layer, CONVOLUTIONS) or layer.padding != "same":
        return None
    sizes = zip(layer.kernel_size, layer.dilation, strict=True)
    totals = [dilation * (kernel - 1) for kernel, dilation in sizes]
    if layer.padding_mode != "zeros" or all(total % 2 == 0 for total in totals):
        return None
    layer.padding = (0,) * len(totals)
    sides = [side for total in reversed(totals) for side in (total // 2, total - total // 2)]
    return zero_pad(sides)


@torch.no_grad()
def _depthwise(norm: Any, kind: Callable[..., nn.Module]) -> nn.Module:
    """Build the convolution of one weight per channel that computes what a batch norm does."""
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
