"""Tracing of a user's module: a graph whose nodes know their line of source."""

from __future__ import annotations

import inspect
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, fx, nn

from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.nn.graph import Graph
from snnquant.nn.kinds import SYNAPSES
from snnquant.nn.pooling import AvgPool2d
from snnquant.nn.wiring import Concatenate, Mean, Permute, PopulationMean, Reshape, Reshaped

BATCH = 3
"""Samples that the shapes are taken with: few axes of a network have just this length."""
LIBRARY = str(Path(torch.__file__).parent)
OURS = (__file__, inspect.getfile(Graph), inspect.getfile(Reshaped))
"""Files that are no part of a user's source."""
LEAVES = (*SYNAPSES, AvgPool2d, Concatenate, Mean, Permute, PopulationMean, Reshape)


class Leaf(nn.Module):
    """Base of modules that are traced as one operation, whatever their forward does."""


class _Tracer(fx.Tracer):
    """torch.fx's tracer, which also notes the user's file and line of every node.

    Its own `record_stack_traces` does too, at a hundred times the time.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Take a subclass of `LEAVES` for one of them where its forward is the parent's."""
        inherited = any(isinstance(m, leaf) and type(m).forward is leaf.forward for leaf in LEAVES)
        return inherited or isinstance(m, Leaf) or super().is_leaf_module(m, module_qualified_name)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Create a node with its line in meta["line"]."""
        node = super().create_node(*args, **kwargs)
        node.meta["line"] = _line_of(sys._getframe())
        return node


def trace(module: nn.Module) -> fx.Graph:
    """Trace a module in evaluation mode; all arguments except the first have their defaults.

    Raises InputError, which names the line, where they depend on the values of the input.
    """
    _, *others = inspect.signature(module.forward).parameters.values()
    defaults = {other.name: other.default for other in others if other.default is not other.empty}
    try:
        graph = _Tracer().trace(module, defaults)
        if isinstance(module, Reshaped) and module.output is not None:
            for node in reversed(list(graph.nodes)):  # what only the other outputs need
                if not node.users and node.op not in ("placeholder", "output"):
                    graph.erase_node(node)
        return graph
    except Exception as error:  # a user's forward fails as it likes where it meets a symbol
        lines = [
            f"{frame.filename}:{frame.lineno}: {frame.line}"
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith(LIBRARY) and frame.filename not in OURS
        ]
        where = lines[-1] if lines else type(module).__name__
        raise InputError(
            f"{where}: found {one_line(error)}, expected a forward that takes one tensor and runs "
            "the same operations for every input"
        ) from None


@torch.no_grad()
def add_shapes(graph: fx.Graph, module: nn.Module, example: Tensor) -> Tensor:
    """Put the shape of every tensor, for a batch of `BATCH`, in meta["shape"]; return the logits.

    Other values go to meta["value"]. `example` is [N, ...] with at least one sample. The logits are
    the module's output, or the input of a softmax at its end (see `logits_node`).
    Raises InputError where the module does not run on it or the output is not one tensor.
    """
    x = example[torch.arange(BATCH) % len(example)]
    try:
        module(x.clone())
    except Exception as error:  # whatever the user's operations raise on a wrong shape
        raise InputError(
            f"{type(module).__name__}: does not run on inputs of shape "
            f"{tuple(example.shape)} ({one_line(error)}), expected an example that fits"
        ) from None
    recorder = _Shapes(module, graph)
    output = recorder.run(x)
    if not isinstance(output, Tensor):
        raise InputError(
            f"{type(module).__name__}: found an output of type {type(output).__name__}, expected "
            "one tensor of logits"
        )
    logits: Tensor = recorder.logits
    return logits


class _Shapes(fx.Interpreter):
    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, garbage_collect_values=True, graph=graph)
        self.end = logits_node(graph, module)
        self.logits: Any = None

    def run_node(self, n: fx.Node) -> Any:
        """Run a node and note the shape of a tensor, or any other value."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape)
        else:
            n.meta["value"] = result
        if n is self.end:
            # A later operation may write into it.
            self.logits = result.clone() if isinstance(result, Tensor) else result
        return result


def logits_node(graph: fx.Graph, module: nn.Module) -> fx.Node | Any:
    """Find the node whose value is returned, or the input of a softmax at the very end."""
    (end,) = (node for node in graph.nodes if node.op == "output")
    node = end.args[0]
    while isinstance(node, fx.Node) and is_softmax(node, module) and len(node.users) == 1:
        node = node.args[0]
    return node


def is_softmax(node: fx.Node, module: nn.Module) -> bool:
    """Check whether a node is a softmax or its logarithm, as a module, function or method."""
    if node.op == "call_module":
        return isinstance(module.get_submodule(str(node.target)), (nn.Softmax, nn.LogSoftmax))
    return operation(node) in ("softmax", "log_softmax")


def operation(node: fx.Node) -> str:
    """Name a function or method plainly: `relu` for `torch.relu`, `F.relu_` and `x.relu()`."""
    if node.op not in ("call_function", "call_method"):
        return ""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name.strip("_")


def where(node: fx.Node) -> str:
    """Name a node for a message: its line in the user's source, and its name."""
    line = node.meta.get("line", "")
    name = str(node.target) if node.op == "call_module" else node.name
    return f"{line}: {name}" if line else name


def _line_of(frame: FrameType | None) -> str:
    """Find FILE:LINE of the innermost frame that is neither torch's nor this module's."""
    while frame is not None and frame.f_code is not trace.__code__:
        file = frame.f_code.co_filename
        if not file.startswith(LIBRARY) and file not in OURS:
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
