"""A CNN from an ONNX file, read without running anything in it.

ONNX is a graph of operators with their weights. The operators of CNNs become layers (see
`operators`), those that only compute shapes are computed at once, and all others are refused by
name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from snnquant.checkpoints.checks import regular_file_size, require_numbers
from snnquant.errors import InputError
from snnquant.importers.onnx.nodes import NodeReader, node_name
from snnquant.io import one_line, require_extra
from snnquant.nn import GraphNetwork
from snnquant.nn.builders import Refused

MAX_NODES = 5_000
ANY_BATCH = 7919
"""Batch size that stands for any: no axis of a network has just this length."""


@dataclass(frozen=True, eq=False)
class OnnxCNN:
    """An ONNX file's graph with its constants.

    Attributes:
        path: The file.
        model: The parsed `onnx.ModelProto`.
        constants: The graph's tensors by name, floating point as float32.
        input: Name of the graph's input.
        shape: Shape of one sample; None for an axis that may have any length.
        batch: Length of the first axis, 1 in a file that was written for one sample.
        size: Bytes of the file and of the files of weights beside it.
    """

    path: Path
    model: Any
    constants: dict[str, NDArray[Any]]
    input: str
    shape: tuple[int | None, ...]
    batch: int
    size: int

    def network(self, shape: tuple[int, ...]) -> tuple[GraphNetwork, list[tuple[str, str]]]:
        """Build the network for samples of a shape.

        Args:
            shape: Shape of one sample, which fits `self.shape`.

        Returns:
            The network in evaluation mode, and pairs of (name of a tensor in the file, its name in
            the network).

        Raises:
            InputError: For a node that no layer computes; the line names it and its operator.
        """
        reader = NodeReader(self.model, self.constants, 4 * self.size)
        reader.begin(self.input, (self.batch, *shape))
        for node in self.model.graph.node:
            try:
                reader.visit(node)
            except Refused as error:
                raise InputError(f"{self.path}: {node_name(node)}: {error}") from None
            except Exception as error:  # an operator's numbers may be anything
                found = f"cannot be computed on its inputs ({one_line(error)})"
                raise InputError(f"{self.path}: {node_name(node)}: {found}") from None
        try:
            return reader.finish(self.model.graph.output[0].name)
        except Refused as error:
            raise InputError(f"{self.path}: {error}") from None


def read_onnx(path: Path) -> OnnxCNN:
    """Read an ONNX file, and the files of weights beside it that it names.

    Args:
        path: The file; nothing in it is run.

    Returns:
        The graph, whose `network` builds the CNN for a shape of patches.

    Raises:
        InputError: One line, for what is no regular file, damaged, larger in memory than its files
            are, for weights outside the file's folder or not finite, for more than one input or
            output, and without the extra `onnx`.

    Example:
        >>> import tempfile
        >>> import onnx
        >>> from onnx import TensorProto, helper
        >>> from snnquant.importers.onnx.reader import read_onnx
        >>> patches = helper.make_tensor_value_info("patches", TensorProto.FLOAT, ["n", 30])
        >>> logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 30])
        >>> node = helper.make_node("Relu", ["patches"], ["logits"])
        >>> graph = helper.make_graph([node], "cnn", [patches], [logits])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "cnn.onnx"
        ...     onnx.save(helper.make_model(graph), file)
        ...     onnx_cnn = read_onnx(file)
        >>> onnx_cnn.shape
        (30,)
        >>> network, pairs = onnx_cnn.network(onnx_cnn.shape)
        >>> network.layers
        Sequential(
          (logits): ReLU()
        )
    """
    (onnx,) = require_extra("onnx", "onnx")
    size = regular_file_size(path)
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # the parser's own exceptions differ by its version
        raise InputError(f"{path}: damaged, expected an ONNX file ({one_line(error)})") from None
    graph = model.graph
    if not 0 < len(graph.node) <= MAX_NODES:
        found = f"found a graph of {len(graph.node):,} nodes"
        raise InputError(f"{path}: {found}, expected an ONNX file of 1 to {MAX_NODES:,}")
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1 or len(graph.output) != 1:
        found = f"found {len(inputs)} inputs and {len(graph.output)} outputs"
        raise InputError(f"{path}: {found}, expected one of each: patches and logits")
    dims = inputs[0].type.tensor_type.shape.dim
    if not 2 <= len(dims) <= 5:
        raise InputError(
            f"{path}: found an input of {len(dims)} axes, expected 2 to 5, batch first"
        )
    lengths = [dim.dim_value if dim.dim_value > 0 else None for dim in dims]
    constants, size = _constants(path, onnx, model, size)
    shape, batch = tuple(lengths[1:]), lengths[0] or ANY_BATCH
    return OnnxCNN(path, model, constants, inputs[0].name, shape, batch, size)


def _constants(path: Path, onnx: Any, model: Any, size: int) -> tuple[dict[str, NDArray[Any]], int]:
    """Read the graph's tensors as arrays, floating point as float32, and count all files' bytes.

    Nothing is read before it is known to be inside the folder and no larger than stated.
    """
    stored = list(model.graph.initializer)
    inner = [a.t for node in model.graph.node for a in node.attribute if a.HasField("t")]
    outside = [t for t in (*stored, *inner) if t.data_location == onnx.TensorProto.EXTERNAL]
    try:
        size += sum(regular_file_size(file) for file in {_file_of(path, t) for t in outside})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    kinds = onnx.TensorProto
    floats = (kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE)
    constants = {}
    try:
        held = 0
        if not all(isinstance(tensor.name, str) for tensor in stored):
            raise InputError(f"{path}: damaged, expected names of tensors in UTF-8")
        for tensor in (*stored, *inner):
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            held += math.prod(tensor.dims) * dtype.itemsize
            if held > 2 * size or any(length < 0 for length in tensor.dims):
                raise InputError(
                    f"{path}: {tensor.name!r} brings it to {held:,} bytes of tensors in {size:,}, "
                    "expected them to be stored"
                )
        for tensor in outside:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        for tensor in stored:
            array = onnx.numpy_helper.to_array(tensor)
            with np.errstate(over="ignore"):  # infinity is refused below
                is_float = tensor.data_type in floats
                constants[tensor.name] = array.astype(np.float32) if is_float else array
    except InputError:
        raise
    except Exception as error:  # a tensor's fields may contradict each other in any way
        raise InputError(f"{path}: damaged, expected ONNX's tensors ({one_line(error)})") from None
    weights = {n: torch.from_numpy(v) for n, v in constants.items() if v.dtype == np.float32}
    require_numbers(path, weights, sum(tensor.nbytes for tensor in weights.values()))
    return constants, size


def _file_of(path: Path, tensor: Any) -> Path:
    """Find the file beside `path` that holds a tensor; InputError, without `path`, for others."""
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    folder = path.parent.resolve()
    try:
        file = (folder / location).resolve()
    except (OSError, ValueError, TypeError):  # no name of a file
        file = folder
    if file != folder / location or file.parent != folder:
        found = f"found weights in {location[:100]!r}"
        raise InputError(f"{found}, expected a file in the ONNX file's own folder, no link or path")
    return file
