"""Workloads from ONNX files, by the shapes that ONNX infers; needs the extra ``onnx``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pim_sim.errors import InputError
from pim_sim.io import one_line, require_extra
from pim_sim.workload.layer import Layer, LayerKind
from pim_sim.workload.operation import Operation, OperationKind
from pim_sim.workload.workload_file import Workload

_KINDS: dict[int, LayerKind] = {3: "conv1d", 4: "conv2d", 5: "conv3d"}
_POOLS: dict[str, OperationKind] = {
    "MaxPool": "max_pool",
    "AveragePool": "average_pool",
    "GlobalMaxPool": "max_pool",
    "GlobalAveragePool": "average_pool",
}


def from_onnx(path: str | Path, *, input_bits: int = 8, weight_bits: int = 8) -> Workload:
    """Read the convolutions, dense layers, poolings and additions of an ONNX file.

    Activations, normalisations and reshapes are free: they fold into weights or move no value.

    Args:
        path: ONNX file of one input; its first axis is the batch.
        input_bits: bits of every layer's input.
        weight_bits: bits of every weight.

    Returns:
        The workload; its densities are 1.

    Raises:
        InputError: onnx is not installed, the file cannot be read, or a layer's shape is unknown.
    """
    (onnx,) = require_extra("onnx", "onnx")
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # whatever protobuf and onnx raise for a damaged file
        raise InputError(f"{path}: not ONNX: {one_line(error)}") from None
    try:
        return _Graph(onnx, model.graph, input_bits, weight_bits).workload(Path(path).stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


class _Graph:
    """Shapes and layers of one graph."""

    def __init__(self, onnx: Any, graph: Any, input_bits: int, weight_bits: int) -> None:
        self.graph, self.input_bits, self.weight_bits = graph, input_bits, weight_bits
        self.read = onnx.helper.get_attribute_value
        self.constants = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        values = [*graph.input, *graph.value_info, *graph.output]
        self.shapes = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in values
        }
        self.layers: list[Layer] = []
        self.operations: list[Operation] = []

    def workload(self, name: str) -> Workload:
        """Return all layers, in the order of the graph."""
        for index, node in enumerate(self.graph.node):
            given = {entry.name: self.read(entry) for entry in node.attribute}
            called = node.name or f"{node.op_type}_{index}"
            if node.op_type == "Conv":
                self._convolution(called, node, given)
            elif node.op_type in ("Gemm", "MatMul"):
                self._dense(called, node, given)
            elif node.op_type in _POOLS:
                self._pool(called, node, given)
            elif node.op_type == "Add" and not set(node.input) & set(self.constants):
                shape = self._shape(called, node.output[0])
                self.operations.append(
                    Operation(name=called, kind="add", input_shape=shape, bits=self.input_bits)
                )
        return Workload(name=name, layers=tuple(self.layers), operations=tuple(self.operations))

    def _shape(self, called: str, value: str) -> tuple[int, ...]:
        shape = self.shapes.get(value, ())[1:]
        if not shape or any(size < 1 for size in shape):
            raise InputError(f"{called}: found no fixed shape of {value!r}, expected one")
        return shape

    def _weights(self, called: str, value: str) -> tuple[int, ...]:
        if value not in self.constants:
            raise InputError(f"{called}: found weights that are computed, expected stored ones")
        return self.constants[value]

    def _convolution(self, called: str, node: Any, given: dict[str, Any]) -> None:
        weights = self._weights(called, node.input[1])
        axes = len(weights) - 2
        if len(weights) not in _KINDS:
            raise InputError(f"{called}: found a kernel of {axes} axes, expected 1 to 3")
        self._add(
            called, _KINDS[len(weights)], self._shape(called, node.input[0]), weights,
            tuple(given.get("strides", (1,) * axes)), _padding(given, weights[2:]),
            given.get("group", 1), tuple(given.get("dilations", (1,) * axes)),
        )  # fmt: skip

    def _dense(self, called: str, node: Any, given: dict[str, Any]) -> None:
        weights = self._weights(called, node.input[1])
        if len(weights) != 2:
            raise InputError(f"{called}: found weights of {len(weights)} axes, expected 2")
        if not (node.op_type == "Gemm" and given.get("transB", 0)):
            weights = weights[::-1]
        self._add(called, "linear", (weights[1],), weights, (), (), 1, ())

    def _add(
        self,
        called: str,
        kind: LayerKind,
        inputs: tuple[int, ...],
        weights: tuple[int, ...],
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        groups: int,
        dilation: tuple[int, ...],
    ) -> None:
        self.layers.append(
            Layer(
                name=called, kind=kind, input_shape=inputs, weight_shape=weights, stride=stride,
                padding=padding, weight_bits=self.weight_bits, input_bits=self.input_bits,
                signed=True, time_steps=1, input_density=1.0, repeats_input=True, groups=groups,
                dilation=dilation,
            )
        )  # fmt: skip

    def _pool(self, called: str, node: Any, given: dict[str, Any]) -> None:
        shape = self._shape(called, node.input[0])
        kernel = tuple(given.get("kernel_shape", shape[1:]))
        usual = (1,) * len(kernel) if "kernel_shape" in given else kernel
        self.operations.append(
            Operation(
                name=called, kind=_POOLS[node.op_type], input_shape=shape, kernel=kernel,
                stride=tuple(given.get("strides", usual)), bits=self.input_bits,
                padding=_padding(given, kernel),
            )
        )  # fmt: skip


def _padding(given: dict[str, Any], kernel: tuple[int, ...]) -> tuple[int, ...]:
    axes = len(kernel)
    automatic = given.get("auto_pad", b"NOTSET").decode()
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        return tuple(size // 2 for size in kernel)
    pads = tuple(given.get("pads", (0,) * 2 * axes))
    if pads[:axes] != pads[axes:]:
        # a layer pads both ends alike, and the number of positions is what counts
        return tuple(math.ceil((a + b) / 2) for a, b in zip(pads[:axes], pads[axes:], strict=True))
    return pads[:axes]
