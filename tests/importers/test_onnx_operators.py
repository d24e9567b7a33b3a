"""Every supported ONNX operator, against onnxruntime on the same file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from snnquant.importers.onnx.operators import OPERATORS
from snnquant.importers.onnx.reader import read_onnx

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
NUMBERS = np.random.default_rng(0)
VECTOR, SPECTRUM, IMAGE, CUBE = (12,), (4, 9), (4, 6, 7), (2, 9, 5, 4)
SAMPLES = {1: SPECTRUM, 2: IMAGE, 3: CUBE}


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


def check(nodes: Any, tensors: Mapping[str, Any], shape: Any, opset: int = 17) -> None:
    """Compare the network with onnxruntime, read for any batch and for one sample."""
    for batch, samples in (("n", 3), (1, 1)):
        with tempfile.TemporaryDirectory() as folder:
            file = written(nodes, tensors, shape, opset, batch, Path(folder))
            x = NUMBERS.normal(size=(samples, *shape)).astype(np.float32)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            try:
                (expected,) = onnxruntime.InferenceSession(str(file), options).run(None, {"x": x})
            except Exception:  # a kernel that is larger than its input, say
                assume(False)
            network, _ = read_onnx(file).network(tuple(shape))
            with torch.no_grad():
                found = network(torch.from_numpy(x)).numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
            if batch == 1:  # a file for one sample stands for any number of them
                with torch.no_grad():
                    assert len(network(torch.zeros(5, *shape))) == 5


integers = st.integers(1, 3)


@st.composite
def windows(draw: Any, one_sided: bool) -> tuple[int, dict[str, Any]]:
    """Draw a number of axes and the attributes of convolutions and pools."""
    axes = draw(st.integers(1, 3))
    several = st.lists(integers, min_size=axes, max_size=axes)
    attributes: dict[str, Any] = {"kernel_shape": draw(several), "strides": draw(several)}
    padding = draw(st.sampled_from(["none", "both", "one", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if padding.isupper():
        assume(one_sided or padding == "VALID")
        attributes["auto_pad"] = padding
    elif padding != "none":
        before = [draw(st.integers(0, k // 2)) for k in attributes["kernel_shape"]]
        behind = [draw(st.integers(0, 2)) for _ in before] if padding == "one" else before
        assume(one_sided or behind == before)
        attributes["pads"] = [*before, *behind]
    return axes, attributes


@settings(deadline=None, max_examples=40)
@given(windows(one_sided=True), st.sampled_from([1, 2]), st.booleans(), st.integers(1, 2))
def test_convolutions(window: Any, groups: int, bias: bool, dilation: int) -> None:
    axes, attributes = window
    shape = SAMPLES[axes]
    weight = constant(6, shape[0] // groups, *attributes["kernel_shape"])
    tensors = {"w": weight} | ({"b": constant(6)} if bias else {})
    dilations = [dilation] * axes
    check([node("Conv", *tensors, group=groups, dilations=dilations, **attributes)], tensors, shape)


@settings(deadline=None, max_examples=40)
@given(windows(one_sided=False), st.booleans(), st.booleans())
def test_pools(window: Any, ceil: bool, counted: bool) -> None:
    axes, attributes = window
    check([node("MaxPool", ceil_mode=ceil, **attributes)], {}, SAMPLES[axes])
    pool = node("AveragePool", ceil_mode=ceil, count_include_pad=counted, **attributes)
    check([pool], {}, SAMPLES[axes], opset=19)


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
CASES: dict[str, tuple[Any, Mapping[str, Any], Any, int]] = {
    "Gemm": ([node("Gemm", "w", "b")], {"w": constant(12, 5), "b": constant(5)}, VECTOR, 17),
    "Gemm of a transposed weight": (
        [node("Gemm", "w", transB=1)],
        {"w": constant(5, 12)},
        VECTOR,
        17,
    ),
    "Gemm with a row for bias": (
        [node("Gemm", "w", "b")],
        {"w": constant(12, 5), "b": constant(1, 5)},
        VECTOR,
        17,
    ),
    "Gemm with a number for bias": (
        [node("Gemm", "w", "b")],
        {"w": constant(12, 5), "b": constant()},
        VECTOR,
        17,
    ),
    "Gemm of a computed weight": (
        [
            onnx.helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
            node("Gemm", "t"),
        ],
        {"w": constant(5, 12)},
        VECTOR,
        17,
    ),
    "MatMul": ([node("MatMul", "w")], {"w": constant(9, 5)}, SPECTRUM, 17),
    "MatMul, then Add": (
        [
            node("MatMul", "w", output="z"),
            onnx.helper.make_node("Add", ["b", "z"], ["y"]),
        ],
        {"w": constant(12, 5), "b": constant(5)},
        VECTOR,
        17,
    ),
    "Conv, then Add": (
        [
            node("Conv", "w", output="z"),
            onnx.helper.make_node("Add", ["z", "b"], ["y"]),
        ],
        {"w": constant(5, 4, 2, 2), "b": constant(1, 5, 1, 1)},
        IMAGE,
        17,
    ),
    **{
        f"BatchNormalization of {len(shape)} axes": (
            [node("BatchNormalization", *NORM, epsilon=0.01, momentum=0.3)],
            NORM,
            shape,
            17,
        )
        for shape in ((4,), (4, 3), (4, 3, 2), (4, 3, 2, 2))
    },
    "Relu": ([node("Relu")], {}, IMAGE, 17),
    "LeakyRelu": ([node("LeakyRelu", alpha=0.2)], {}, IMAGE, 17),
    "Clip": ([node("Clip", "l", "h")], {"l": np.float32(0), "h": np.float32(0.7)}, IMAGE, 17),
    "Clip from below": ([node("Clip", "l")], {"l": np.float32(0)}, IMAGE, 17),
    "Clip on both sides": (
        [node("Clip", "l", "h")],
        {"l": np.float32(-0.5), "h": np.float32(0.7)},
        IMAGE,
        17,
    ),
    "Clip of old": ([node("Clip", min=0.0, max=6.0)], {}, IMAGE, 10),
    "GlobalAveragePool": ([node("GlobalAveragePool")], {}, CUBE, 17),
    "GlobalMaxPool": ([node("GlobalMaxPool")], {}, IMAGE, 17),
    "ReduceMean": ([node("ReduceMean", axes=[2, -1], keepdims=0)], {}, IMAGE, 13),
    "ReduceMean of today": ([node("ReduceMean", "a")], {"a": np.array([-1])}, IMAGE, 18),
    "Flatten": ([node("Flatten")], {}, CUBE, 17),
    "Reshape": ([node("Reshape", "s")], {"s": np.array([0, -1, 7])}, IMAGE, 17),
    "Reshape to a shape that is computed": (CHAIN, {"rest": np.array([4, -1])}, CUBE, 17),
    "Squeeze": ([node("Squeeze", "a")], {"a": np.array([1, -1])}, (1, 5, 1), 17),
    "Squeeze of old": ([node("Squeeze", axes=[1])], {}, (1, 5), 11),
    "Unsqueeze": ([node("Unsqueeze", "a")], {"a": np.array([1, -1])}, SPECTRUM, 17),
    "Unsqueeze of old": ([node("Unsqueeze", axes=[2])], {}, SPECTRUM, 11),
    "Transpose": ([node("Transpose", perm=[0, 3, 1, 2])], {}, IMAGE, 17),
    "Add": (
        [node("Relu", output="z"), onnx.helper.make_node("Add", ["x", "z"], ["y"])],
        {},
        IMAGE,
        17,
    ),
    "Add of one to itself": ([node("Add", "x")], {}, IMAGE, 17),
    "Sub": (
        [node("Relu", output="z"), onnx.helper.make_node("Sub", ["z", "x"], ["y"])],
        {},
        IMAGE,
        17,
    ),
    "Mul": ([node("Mul", "c")], {"c": np.float32(1.5)}, IMAGE, 17),
    "Div": ([node("Div", "c")], {"c": np.array([4], np.float32)}, IMAGE, 17),
    "Add of a constant beside another use": (
        [
            node("MatMul", "w", output="z"),
            onnx.helper.make_node("Add", ["z", "b"], ["v"]),
            onnx.helper.make_node("Add", ["v", "z"], ["y"]),
        ],
        {"w": constant(12, 5), "b": constant(5)},
        VECTOR,
        17,
    ),
    **{
        f"{operator} of {place}": (
            [onnx.helper.make_node(operator, ["x", "c"], ["y"])],
            {"c": constant(*shape) ** 2 + 0.5},
            sample,
            17,
        )
        for operator in ("Add", "Sub", "Mul", "Div")
        for place, shape, sample in (
            ("channels", (1, 4, 1, 1), IMAGE),
            ("bands of a volume", (9, 1, 1), CUBE),
            ("columns", (7,), IMAGE),
            ("values", (12,), VECTOR),
        )
    },
    **{
        f"{operator} from channels": (
            [onnx.helper.make_node(operator, ["c", "x"], ["y"])],
            {"c": constant(4, 1, 1)},
            IMAGE,
            17,
        )
        for operator in ("Add", "Sub", "Mul")
    },
    "Resize": (
        [
            node(
                "Resize",
                "",
                "s",
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        {"s": np.array([1, 1, 2, 3], np.float32)},
        IMAGE,
        17,
    ),
    "Upsample": (
        [node("Upsample", "s", mode="nearest")],
        {"s": np.array([1, 1, 2, 3], np.float32)},
        IMAGE,
        9,
    ),
    **{
        f"{operator} with padding after {axes}": (
            [node(operator, kernel_shape=[3] * axes, strides=[2] * axes, auto_pad="SAME_UPPER")],
            {},
            sample,
            17,
        )
        for operator in ("AveragePool", "MaxPool")
        for axes, sample in ((1, (4, 10)), (2, (4, 6, 8)), (3, (2, 8, 6, 4)))
    },
    "AveragePool over padding": (
        [node("AveragePool", kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1)],
        {},
        IMAGE,
        17,
    ),
    "Concat": (
        [node("Relu", output="z"), onnx.helper.make_node("Concat", ["z", "x"], ["y"], axis=-3)],
        {},
        IMAGE,
        17,
    ),
    "Softmax": ([node("Softmax", axis=1)], {}, VECTOR, 17),
    "Softmax of old": ([node("Softmax")], {}, VECTOR, 11),
    "LogSoftmax": ([node("LogSoftmax")], {}, VECTOR, 17),
    "Pad": ([node("Pad", "p")], {"p": np.array([0, 0, 1, 0, 0, 0, 0, 2])}, IMAGE, 17),
    "Pad of old": ([node("Pad", pads=[0, 0, 0, 1, 0, 0, 2, 0])], {}, IMAGE, 10),
    "Cast": ([node("Cast", to=1)], {}, IMAGE, 17),
    "Dropout": ([node("Dropout", "r")], {"r": np.float32(0.5)}, IMAGE, 17),
    "Identity": ([node("Identity")], {}, IMAGE, 17),
}


@pytest.mark.parametrize("case", CASES)
def test_operator(case: str) -> None:
    check(*CASES[case])


def test_every_operator_is_tested() -> None:
    tested = {"Conv", "MaxPool", "AveragePool", *(case.split(",")[0].split()[0] for case in CASES)}
    assert set(OPERATORS) <= tested
