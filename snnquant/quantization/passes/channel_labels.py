"""Labels of a CNN's values: every output channel of a layer with weights has one of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from snnquant.errors import InputError
from snnquant.nn.kinds import AVERAGE_POOLS, DROPOUTS, MAX_POOLS, PADS, SHAPES, SYNAPSES, UPSAMPLES
from snnquant.nn.tracing import is_softmax, operation, where
from snnquant.nn.wiring import Concatenate, Mean, PopulationMean

ENDS = 0
"""Label of the network's input and output, whose factor is 1."""
SAME = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity, *DROPOUTS)
SAME_OPERATIONS = ("relu", "leaky_relu", "dropout", "contiguous", "clone")
MOVES = (*SHAPES, Concatenate)
MOVES_OPERATIONS = (
    *("flatten", "reshape", "view", "permute", "transpose", "squeeze", "unsqueeze", "cat"),
    *("concat", "getitem", "unflatten", "movedim"),
)
SPANS = (*MAX_POOLS, *AVERAGE_POOLS, *PADS, *UPSAMPLES)
SUMS = ("add", "iadd", "sub", "isub")
FACTORS = ("mul", "imul", "truediv", "itruediv", "div")


class LabelReader(fx.Interpreter):
    """Interpreter that keeps the label of every value beside it."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__(network, garbage_collect_values=False, graph=graph)
        self.extra_traceback = False  # it makes many lines of a refusal
        self.network, self.parents = network, [ENDS]
        self.labels: dict[fx.Node, Tensor] = {}
        self.rigid: set[int] = set()
        self.outputs: dict[str, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run a node and label its output."""
        result = super().run_node(n)
        if n.op == "output" and not isinstance(result, Tensor):
            found = type(result).__name__
            raise InputError(f"network: found an output of type {found}, expected one tensor")
        if isinstance(result, Tensor):
            self.labels[n] = self._label(n, result)
        return result

    def _label(self, node: fx.Node, result: Tensor) -> Tensor:
        if node.op == "placeholder":
            return torch.full(result.shape, ENDS)
        module = self.network.get_submodule(str(node.target)) if node.op == "call_module" else None
        name = operation(node)
        read = [self.labels[source] for source in node.all_input_nodes if source in self.labels]
        terms = [self.labels[value] for value in node.args if value in self.labels]  # type: ignore[index]
        if node.op == "output" or is_softmax(node, self.network):
            self._join(read[0], torch.full_like(read[0], ENDS))
            return read[0]
        if isinstance(module, SYNAPSES):
            return self._synapse(node, module, read[0], result)
        if isinstance(module, SAME) or name in SAME_OPERATIONS:
            return read[0]
        if read and (isinstance(module, MOVES) or name in MOVES_OPERATIONS):
            return self._moved(node, module)
        if isinstance(module, SPANS) or "_pool" in name:
            return self._spanned(module, read[0], result)
        if isinstance(module, PopulationMean):
            groups = module.grouped(read[0])
            return self._over(groups, [2]).expand(groups.shape).amax(2).view(result.shape)
        if isinstance(module, Mean) or (name == "mean" and len(node.args) > 1):
            axes: Any = module.axes if isinstance(module, Mean) else node.args[1]
            labels = self._over(read[0], axes)
            return labels.expand(read[0].shape).amax(axes).view(result.shape)
        if name in SUMS and len(terms) == 2:
            first, last = (term.expand(result.shape) for term in terms)
            self._join(first, last)
            self._stiffen(first)
            return first
        if name in FACTORS and len(terms) == 1 and node.args[0] in self.labels and not node.kwargs:
            self._stiffen(read[0])
            return read[0]
        found = name or (type(module).__name__ if module else node.op)
        raise InputError(
            f"{where(node)}: found {found}, expected only layers that a positive factor passes, "
            "such as ReLUs, and folded batch norms"
        )

    def _synapse(self, node: fx.Node, layer: Any, read: Tensor, result: Tensor) -> Tensor:
        name = str(node.target)
        if name in self.outputs:
            raise InputError(f"layer {name}: found two runs per forward, expected one")
        channels = 1 if not isinstance(layer, nn.Linear) else read.ndim - 1
        others = [axis for axis in range(read.ndim) if axis != channels]
        rows = self._over(read, others).view(getattr(layer, "groups", 1), -1)
        self.inputs[name] = rows
        padding = getattr(layer, "padding", 0)
        if padding == "same" or (padding != "valid" and torch.tensor(padding).any()):
            self._stiffen(rows)
        first = len(self.parents)
        own = torch.arange(first, first + len(layer.weight))
        self.parents += own.tolist()
        if layer.bias is None:
            self._stiffen(own, rows)
        self.outputs[name] = own
        axis = 1 if not isinstance(layer, nn.Linear) else result.ndim - 1
        return own.view(-1, *[1] * (result.ndim - 1 - axis)).expand(result.shape)

    def _moved(self, node: fx.Node, module: nn.Module | None) -> Tensor:
        args, kwargs = fx.map_arg(
            (node.args, node.kwargs), lambda source: self.labels.get(source, self.env.get(source))
        )
        if module is not None:
            labels: Tensor = module(*args, **kwargs)
        elif node.op == "call_method":
            labels = getattr(args[0], str(node.target))(*args[1:], **kwargs)
        else:
            labels = node.target(*args, **kwargs)  # type: ignore[operator]
        return labels

    def _spanned(self, module: nn.Module | None, read: Tensor, result: Tensor) -> Tensor:
        """Label what pools, pads and upsamples each channel."""
        padding = getattr(module, "padding", 1)
        if not isinstance(module, MAX_POOLS) and torch.tensor(padding).any():
            self._stiffen(read)
        return self._over(read, range(2, read.ndim)).expand(result.shape)

    def _over(self, labels: Tensor, axes: Any) -> Tensor:
        """Join the labels along axes; return one of each, the axes kept with length 1."""
        axes = axes if isinstance(axes, int) else tuple(axes)
        if axes == ():
            return labels
        one = labels.amax(axes, keepdim=True)
        self._join(labels, one.expand_as(labels))
        return one

    def _stiffen(self, *labels: Tensor) -> None:
        """Note labels whose values may have a factor, but no constant added."""
        self.rigid.update(label for group in labels for label in group.flatten().tolist())

    def _join(self, labels: Tensor, others: Tensor) -> None:
        for one, other in set(
            zip(labels.flatten().tolist(), others.flatten().tolist(), strict=True)
        ):
            low, high = sorted((self.root(one), self.root(other)))
            self.parents[high] = low

    def root(self, label: int) -> int:
        """Return the label that stands for all that a label was joined with."""
        while self.parents[label] != label:
            label = self.parents[label]
        return label
