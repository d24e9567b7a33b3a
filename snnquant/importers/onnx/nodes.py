"""The nodes of an ONNX graph, one after another, as layers that can be traced."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snnquant.checkpoints.checks import LONGEST_NAME
from snnquant.importers.onnx.call import Array, Call
from snnquant.importers.onnx.operators import OPERATORS, Tensors
from snnquant.io import require_extra
from snnquant.nn import INPUT, GraphNetwork
from snnquant.nn.builders import Refused

MAX_COMPUTED = 64
"""Numbers that may be computed with; shapes have a few."""
MAX_SAMPLE_VALUES = 2**24
"""Values that one layer may hold for a patch."""
SAME_SIZE = ("Identity", "Reshape", "Transpose", "Unsqueeze", "Squeeze")
FOLDED = (*SAME_SIZE, "Cast", "Gather", "Slice", "Concat", "Add", "Sub", "Mul", "Div")
"""Operators that may be computed of constants; the first ones of large constants too."""


class NodeReader:
    """A reader of a graph's nodes in their order; `visit` raises `Refused` and what torch raises.

    `max_bytes` bounds all tensors that are made of the file's constants.
    """

    def __init__(self, model: Any, constants: dict[str, Array], max_bytes: int) -> None:
        graph = model.graph
        self.constants = dict(constants)
        self.bytes_left = max_bytes
        self.values: dict[str, tuple[str, tuple[int, ...]]] = {}  # activation: its layer, shape
        self.layers: dict[str, nn.Module] = {}
        self.inputs: dict[str, tuple[str, ...]] = {}
        self.pairs: list[tuple[str, str]] = []
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(output.name for output in graph.output)
        versions = {entry.domain: entry.version for entry in model.opset_import}
        self.version = versions.get("", versions.get("ai.onnx", 1))

    def begin(self, name: str, shape: tuple[int, ...]) -> None:
        """Name the graph's input and its shape, batch first."""
        self.values[name] = (INPUT, shape)
        self.batch = shape[0]

    def visit(self, node: Any) -> None:
        """Read a node: a constant, or layers and the shape of their output."""
        if node.domain not in ("", "ai.onnx"):
            raise Refused("found an operator that is not ONNX's own")
        given = [name for name in node.input if name]
        for name in given:
            if name not in self.constants and name not in self.values:
                raise Refused(f"found the input {name[:100]!r}, which no earlier node gives")
        if node.op_type == "Shape":
            self._take_shape(node)
        elif all(name in self.constants for name in given):
            self._fold(node, given)
        elif node.op_type in OPERATORS:
            self._add_layers(node, [name for name in given if name in self.values])
        else:
            raise Refused(f"is not known here, expected one of {', '.join(OPERATORS)}")

    def finish(self, output: str) -> tuple[GraphNetwork, list[tuple[str, str]]]:
        """Return the layers that the output needs, its own last; pairs as in `OnnxCNN.network`."""
        last, _ = self.values.get(output, (INPUT, ()))
        if last == INPUT:
            raise Refused(f"found the output {output[:100]!r}, which no layer gives")
        needed = {last}
        for name in reversed(self.layers):
            if name in needed:
                needed.update(self.inputs[name])
        layers = {name: layer for name, layer in self.layers.items() if name in needed}
        inputs = {name: self.inputs[name] for name in layers}
        pairs = [pair for pair in self.pairs if pair[1].rpartition(".")[0] in needed]
        return GraphNetwork(layers, inputs).eval(), pairs

    def _take_shape(self, node: Any) -> None:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        name = node.input[0]
        shape = self.values[name][1] if name in self.values else self.constants[name].shape
        part = shape[attributes.get("start", 0) : attributes.get("end")]
        self.constants[node.output[0]] = np.array(part, np.int64)

    def _fold(self, node: Any, given: list[str]) -> None:
        """Compute a node of constants by the reference implementation of its operator."""
        (reference,) = require_extra("onnx", "onnx.reference")
        if node.op_type not in (*FOLDED, "Constant"):
            raise Refused(f"is computed of constants, expected one of {', '.join(FOLDED)} there")
        numbers = sum(self.constants[name].size for name in given)
        if node.op_type not in (*SAME_SIZE, "Constant") and numbers > MAX_COMPUTED:
            raise Refused(f"is computed of {numbers:,} constants, expected at most {MAX_COMPUTED}")
        evaluator = reference.ReferenceEvaluator(node, opsets={"": self.version})
        value = np.asarray(evaluator.run(None, {name: self.constants[name] for name in given})[0])
        self._hold(value.nbytes)
        self.constants[node.output[0]] = value

    def _add_layers(self, node: Any, activations: list[str]) -> None:
        (helper,) = require_extra("onnx", "onnx.helper")
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        shapes = [self.values[name][1] for name in activations]
        sources = [self.values[name][0] for name in activations]
        alone = self.uses[activations[0]] == 1 and sources[0] != INPUT
        call = Call(
            {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()},
            list(node.input),
            [self.constants.get(name) for name in node.input],
            shapes,
            self.version,
            (sources[0], self.layers[sources[0]]) if alone else None,
        )
        with torch.device("meta"):
            steps = OPERATORS[node.op_type](call)
        call.require_all_read()
        self.pairs += call.biases
        for layer, tensors in steps:
            name = self._free_name(node)
            shapes = [self._shape(layer, shapes)]
            self._fill(name, layer, tensors)
            self.layers[name], self.inputs[name] = layer, tuple(sources)
            sources = [name]
        self.values[node.output[0]] = (sources[0], shapes[0])

    def _shape(self, layer: nn.Module, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
        """Return the shape of a layer's output; nothing is computed."""
        with torch.no_grad():
            output: Tensor = layer.eval()(*(torch.empty(s, device="meta") for s in shapes))
        if output.shape[:1] != (self.batch,) or output.numel() // self.batch > MAX_SAMPLE_VALUES:
            found = f"gives values of shape {tuple(output.shape)} for a batch of {self.batch}"
            limit = f"{MAX_SAMPLE_VALUES:,}"
            raise Refused(
                f"{found}, expected the batch first and at most {limit} values per sample"
            )
        return tuple(output.shape)

    def _fill(self, name: str, layer: nn.Module, tensors: Tensors) -> None:
        """Set the tensors of a layer that was made without memory for them."""
        for own, (theirs, values) in tensors.items():
            tensor = torch.from_numpy(np.array(values, np.float32))
            empty = getattr(layer, own)
            if tensor.shape != empty.shape:
                found = f"found {own} of shape {tuple(tensor.shape)}"
                raise Refused(f"{found}, expected {tuple(empty.shape)}")
            self._hold(tensor.nbytes)
            is_parameter = isinstance(empty, nn.Parameter)
            setattr(layer, own, nn.Parameter(tensor) if is_parameter else tensor)
            self.pairs.append((theirs, f"{name}.{own}"))
        lacking = [own for own, value in layer.state_dict().items() if value.is_meta]
        if lacking:
            raise Refused(f"found no {lacking[0]}")

    def _hold(self, size: int) -> None:
        """Count bytes that are made of the file's: a weight may be used any number of times."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise Refused("takes more memory than the file's weights, expected each of them once")

    def _free_name(self, node: Any) -> str:
        """Name a layer after its node, in small letters: the conversion renames `relu` to `lif`."""
        name = re.sub(r"\W+", "_", (node.name or node.output[0]).lower())[:LONGEST_NAME].strip("_")
        name = name or node.op_type.lower()
        while name in self.layers or name == INPUT or hasattr(nn.Sequential, name):
            name += "_"
        return name


def node_name(node: Any) -> str:
    """Name a node for a message: its name, or else its first output, and its operator."""
    name = node.name or (node.output[0] if node.output else "")
    operator = repr(f"{node.domain}.{node.op_type}" if node.domain else node.op_type)
    return f"node {name[:LONGEST_NAME]!r} ({operator[1:100].rstrip(operator[0])})"
