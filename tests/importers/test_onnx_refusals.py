"""Nodes of ONNX files that no layer computes, and damaged files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.importers.onnx.reader import read_onnx

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
NUMBERS = np.random.default_rng(0)
VECTOR, IMAGE, CUBE = (12,), (4, 6, 7), (2, 9, 5, 4)


def node(operator: str, *inputs: str, output: str = "y", **attributes: Any) -> Any:
    return onnx.helper.make_node(operator, ["x", *inputs], [output], **attributes)


def constant(*shape: int) -> Any:
    return NUMBERS.normal(size=shape).astype(np.float32)


def written(
    nodes: Any, tensors: Mapping[str, Any], shape: Any, opset: int, batch: Any, folder: Path
) -> Path:
    values = [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, *shape])]
    output = [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)]
    stored = [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in tensors.items()]
    graph = onnx.helper.make_graph(list(nodes), "cnn", values, output, stored)
    versions = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=8)
    onnx.save(model, folder / "cnn.onnx")
    return folder / "cnn.onnx"


NORM = dict(
    zip("sbmv", (constant(4), constant(4), constant(4), constant(4) ** 2 + 0.1), strict=True)
)
CHAIN = (  # what exporters make of `x.reshape(len(x), 4, -1)`
    onnx.helper.make_node("Shape", ["x"], ["all"]),
    onnx.helper.make_node("Constant", [], ["first"], value_ints=[0]),
    onnx.helper.make_node("Gather", ["all", "first"], ["batch"], axis=0),
    onnx.helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0),
    onnx.helper.make_node("Reshape", ["x", "target"], ["y"]),
)
REFUSED: dict[str, tuple[Any, Mapping[str, Any], Any, str]] = {
    "an operator that is not known": ([node("Sigmoid")], {}, IMAGE, "(Sigmoid): is not known"),
    "an attribute that is not known": (
        [node("Relu", slope=2)],
        {},
        IMAGE,
        "attribute 'slope'",
    ),
    "a weight that is computed": (
        [node("Relu", output="z"), onnx.helper.make_node("MatMul", ["x", "z"], ["y"])],
        {},
        (3, 3),
        "(MatMul): found input 'z' computed",
    ),
    "a product of activations": (
        [node("Relu", output="z"), onnx.helper.make_node("Mul", ["x", "z"], ["y"])],
        {},
        IMAGE,
        "(Mul): found other inputs than one activation and one number",
    ),
    "a constant that is no bias": (
        [node("Conv", "w", output="z"), onnx.helper.make_node("Add", ["z", "b"], ["y"])],
        {"w": constant(5, 4, 2, 2), "b": constant(4)},
        IMAGE,
        "(Add): found a constant of shape (4,), expected one number per channel",
    ),
    "a constant of two axes": (
        [node("Mul", "c")],
        {"c": constant(6, 7)},
        IMAGE,
        "(Mul): found a constant of shape (6, 7), expected one number per channel",
    ),
    "a number over channels": (
        [onnx.helper.make_node("Div", ["c", "x"], ["y"])],
        {"c": constant(4, 1, 1)},
        IMAGE,
        "(Div): found a constant of shape (4, 1, 1), expected one number per channel",
    ),
    "upsampling by a half": (
        [node("Resize", "", "s", mode="nearest")],
        {"s": np.array([1, 1, 1.5, 2], np.float32)},
        IMAGE,
        "(Resize): found other scales than whole factors",
    ),
    "training": (
        [node("BatchNormalization", *NORM, training_mode=1)],
        NORM,
        IMAGE,
        "found training_mode 1, expected 0",
    ),
    "a batch norm without a variance": (
        [node("BatchNormalization", "s", "b", "m")],
        NORM,
        IMAGE,
        "found no running_var",
    ),
    "samples in one": ([node("Reshape", "s")], {"s": np.array([-1])}, VECTOR, "expected the batch"),
    "another axis for the batch": (
        [node("Transpose", perm=[1, 0])],
        {},
        VECTOR,
        "expected the batch first",
    ),
    "padding of another kind": (
        [node("Conv", "w", auto_pad="SAME")],
        {"w": constant(5, 4, 2, 2)},
        IMAGE,
        "found auto_pad 'SAME'",
    ),
    "another kernel than the weight's": (
        [node("Conv", "w", kernel_shape=[3, 3])],
        {"w": constant(5, 4, 2, 2)},
        IMAGE,
        "found kernel_shape [3, 3], expected [2, 2]",
    ),
    "an input from nowhere": ([node("Add", "q")], {}, IMAGE, "found the input 'q'"),
    "an output of nothing": (
        [node("Relu", output="z")],
        {},
        IMAGE,
        "found the output 'y', which no layer gives",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_the_name_of_its_node(case: str, tmp_path: Path) -> None:
    nodes, tensors, shape, words = REFUSED[case]
    for number, each in enumerate(nodes):
        each.name = f"/block/{number}"
    file = written(nodes, tensors, shape, 17, "n", tmp_path)
    with pytest.raises(InputError) as refused:
        read_onnx(file).network(shape)
    line = str(refused.value)
    assert line.startswith(f"{file}: ")
    assert words in line
    assert "node '/block/" in line or "output" in line


def test_a_layer_that_the_output_does_not_need_is_left_out(tmp_path: Path) -> None:
    nodes = [node("Relu"), onnx.helper.make_node("Relu", ["y"], ["z"])]
    network, _ = read_onnx(written(nodes, {}, IMAGE, 17, "n", tmp_path)).network(IMAGE)
    assert len(network.layers) == 1


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4), st.integers(0, 4)), min_size=1))
def test_any_damage_is_one_line_or_none(changes: list[tuple[float, bytes, int]]) -> None:
    """A file with bytes removed and others inserted is read or refused in a line."""
    nodes = [*CHAIN, onnx.helper.make_node("Relu", ["y"], ["z"], name="last")]
    with tempfile.TemporaryDirectory() as folder:
        file = written(nodes, {"rest": np.array([4, -1]), **NORM}, CUBE, 17, "n", Path(folder))
        content = bytearray(file.read_bytes())
        for place, new, dropped in changes:
            start = int(place * len(content))
            content[start : start + dropped] = new
        file.write_bytes(content)
        line = f"{file}: "
        try:
            read_onnx(file).network(CUBE)
        except InputError as error:
            line = str(error)
        assert line.startswith(f"{file}: ")
        assert line.isprintable()
