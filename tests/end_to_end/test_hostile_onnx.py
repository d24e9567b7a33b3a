"""ONNX files given to `snnquant convert` that are damaged, mistaken or meant to do harm.

Each is refused in one line with exit code 2; nothing is run, written or taken into memory.
"""

from __future__ import annotations

import itertools
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Refused

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")

BANDS, CLASSES, WINDOW = 16, 8, 5
LENGTH = BANDS * WINDOW**2
SCENE = ("--scene", f"synthetic:24x24x{BANDS}")
Write = Callable[[Path], object]
make = onnx.helper.make_node


def _model(*nodes: Any, shape: Any = (1, BANDS, WINDOW, WINDOW), **tensors: Any) -> Any:
    """A network from x to y: dense layers unless there are other nodes, weights beside its own."""
    weights = {
        "w": np.full((LENGTH, 6), 0.01, np.float32),
        "v": np.full((6, CLASSES), 0.01, np.float32),
    }
    stored = [onnx.numpy_helper.from_array(t, n) for n, t in (weights | tensors).items()]
    number = onnx.TensorProto.FLOAT
    x = onnx.helper.make_tensor_value_info("x", number, ["n", *shape])
    y = onnx.helper.make_tensor_value_info("y", number, None)
    graph = onnx.helper.make_graph(list(nodes) or _dense(), "cnn", [x], [y], stored)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


def _dense(*between: Any, last: str = "r") -> list[Any]:
    """Flatten, dense, ReLU to "r", what stands between, dense of `last`."""
    first = [make("Flatten", ["x"], ["f"]), make("MatMul", ["f", "w"], ["d"], name="first")]
    return [*first, make("Relu", ["d"], ["r"]), *between, make("MatMul", [last, "v"], ["y"])]


def _between(*nodes: Any, last: str = "b", **tensors: Any) -> Any:
    return _model(*_dense(*nodes, last=last), **tensors)


def _changed(change: Callable[[Any], object]) -> Any:
    model = _model()
    change(model)
    return model


def _outside(location: str, length: int | None = None) -> Any:
    """The first weights lie in another file."""

    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        if length is not None:
            tensor.external_data.add(key="length", value=str(length))

    return _changed(change)


def _linked(path: Path) -> None:
    (path.parent.parent / "secret").write_bytes(bytes(LENGTH * 6 * 4))
    (path.parent / "link").symlink_to(path.parent.parent / "secret")
    path.write_bytes(_outside("link").SerializeToString())


def _tensor(**fields: Any) -> Any:
    """The first weights with other fields."""

    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        for name, value in fields.items():
            if name == "dims":
                del tensor.dims[:]
                tensor.dims.extend(value)
            else:
                setattr(tensor, name, value)

    return _changed(change)


def _doubled(operator: str, times: int, start: str, **attributes: Any) -> list[Any]:
    """A value put beside itself again and again; the last one is called b."""
    names = [start, *(f"z{i}" for i in range(times - 1)), "b"]
    return [
        make(operator, [before, before], [after], **attributes)
        for before, after in itertools.pairwise(names)
    ]


def _deep(path: Path) -> None:
    """Graphs within graphs, a hundred thousand deep."""
    content = b""
    for _ in range(20_000):
        content = b"\x32" + _varint(len(content)) + content  # an attribute's graph
        content = b"\x2a" + _varint(len(content)) + content  # a node's attribute
        content = b"\x0a" + _varint(len(content)) + content  # a graph's node
    path.write_bytes(b"\x3a" + _varint(len(content)) + content)


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _if(condition: str) -> Any:
    nothing = onnx.helper.make_graph([], "branch", [], [])
    return make("If", [condition], ["b"], then_branch=nothing, else_branch=nothing, name="choice")


def _python(path: Path) -> None:
    path.write_text("import os\nos.system('touch executed')\n")


RAW = _model().SerializeToString()
FILES: dict[str, tuple[Write | Any, str]] = {
    # no ONNX file
    "an empty file": (lambda path: path.write_bytes(b""), "0 nodes"),
    "nothing": (lambda path: None, "cannot be read"),
    "a pipe": (os.mkfifo, "a pipe"),
    "a text": (_python, "damaged"),
    "random bytes": (lambda path: path.write_bytes(bytes(range(256)) * 9), "damaged"),
    "half a file": (lambda path: path.write_bytes(RAW[: len(RAW) // 2]), "damaged"),
    "all but a byte": (lambda path: path.write_bytes(RAW[:-1]), "damaged"),
    "graphs within graphs": (_deep, "damaged"),
    # weights elsewhere
    "weights of the system": (_outside("/etc/passwd"), "own folder"),
    "weights in the folder above": (_outside("../secret"), "own folder"),
    "weights in a folder below": (_outside("below/weights"), "own folder"),
    "weights behind a link": (_linked, "own folder"),
    "weights in a file that is not there": (_outside("weights"), "cannot be read"),
    "weights in no file": (_outside(""), "own folder"),
    "weights in a name with a zero": (_outside("a\0b"), "own folder"),
    "weights in the file itself": (_outside("x.onnx", 10**9), "to be stored"),
    # tensors that are none
    "a shape larger than the bytes": (_tensor(dims=[LENGTH, 7]), "damaged"),
    "a shape of 2^62": (_tensor(dims=[2**31, 2**31]), "expected them to be stored"),
    "a negative shape": (_tensor(dims=[-1, 6]), "expected them to be stored"),
    "an unknown type": (_tensor(data_type=99), "damaged"),
    "no type": (_tensor(data_type=0), "damaged"),
    "texts for weights": (_tensor(data_type=8), "damaged"),
    "no number": (_model(w=np.full((LENGTH, 6), np.nan, np.float32)), "NaN"),
    "infinity": (_model(v=np.full((6, CLASSES), -np.inf, np.float32)), "infinite"),
    "too large for 32 bits": (_model(v=np.full((6, CLASSES), 1e300)), "infinite"),
    "a name with terminal codes": (_model(**{"\x1b[2J\nw": np.ones(3, np.float32)}), "printable"),
    # graphs that are none
    "two inputs": (_changed(lambda m: m.graph.input.append(m.graph.output[0])), "2 inputs"),
    "no output": (_changed(lambda m: m.graph.ClearField("output")), "0 outputs"),
    "nine axes": (_model(shape=(1,) * 8), "9 axes"),
    "a circle": (_between(make("Add", ["r", "b"], ["b"], name="round")), "'round' (Add)"),
    "a node without an output": (_between(make("Relu", ["r"], [], name="mute")), "'mute' (Relu)"),
    "a node without an input": (_between(make("Relu", [], ["b"], name="deaf")), "'deaf' (Relu)"),
    # what cannot spike, and what is no operator of a CNN
    "a sigmoid": (_between(make("Sigmoid", ["r"], ["b"], name="gate")), "'gate' (Sigmoid)"),
    "a leaky ReLU": (_between(make("LeakyRelu", ["d"], ["b"], name="leaky")), "leaky"),
    "a branch": (_between(_if("v")), "'choice' (If)"),
    "a custom operator": (
        _between(make("Shell", ["r"], ["b"], domain="evil", name="run")),
        "'run' (evil.Shell)",
    ),
    "noise": (_between(make("RandomNormalLike", ["r"], ["b"])), "RandomNormalLike"),
    "a sum over the batch": (_between(make("ReduceMean", ["r"], ["b"], axes=[0])), "batch"),
    # what is larger than its file
    "constants doubled 40 times": (
        _between(*_doubled("Concat", 40, "v", axis=0), make("Gemm", ["r", "b"], ["q"]), last="q"),
        "constants, expected at most",
    ),
    "activations doubled 40 times": (_between(*_doubled("Concat", 40, "r", axis=1)), "at most"),
    "a constant of any shape": (
        _between(make("ConstantOfShape", ["s"], ["b"]), s=np.array([2**20, 2**20])),
        "ConstantOfShape",
    ),
    "a constant blown up": (
        _between(make("Expand", ["v", "s"], ["b"]), s=np.array([2**20, 6, CLASSES])),
        "Expand",
    ),
    "padding without end": (
        _model(
            make("Pad", ["x", "p"], ["f"], name="frame"),
            make("Relu", ["f"], ["y"]),
            p=np.array([0, 0, 0, 0, 0, 0, 0, 0, 2**40, 2**20]),
        ),
        "'frame' (Pad)",
    ),
    "one weight a thousand times": (
        _between(
            *(make("MatMul", ["f", "w"], [f"m{i}"]) for i in range(1000)),
            make("Relu", ["r"], ["b"]),
        ),
        "more memory",
    ),
    "one constant a thousand times": (
        _between(
            *(make("Unsqueeze", ["w", "a"], [f"m{i}"]) for i in range(1000)),
            make("Relu", ["r"], ["b"]),
            a=np.array([0]),
        ),
        "more memory",
    ),
    "100,000 nodes": (
        _between(*(make("Relu", ["r"], ["b"]) for _ in range(10**5))),
        "100,004 nodes",
    ),
    # networks for other scenes
    "other bands": (_model(shape=(1, 7, WINDOW, WINDOW)), "expected 16 bands"),
    "an even window": (_model(shape=(1, BANDS, 4, 4)), "--window"),
    "no patch": (_model(shape=(3, BANDS, 5, 7)), "expected one of [N, 1, bands, window, window]"),
    "other classes": (
        _model(*_dense()[:-1], make("MatMul", ["r", "q"], ["y"]), q=np.ones((6, 3), np.float32)),
        "an output of shape (3, 3)",
    ),
    "no ReLU": (_model(*_dense()[:2], make("MatMul", ["d", "v"], ["y"])), "no ReLU"),
}


@pytest.mark.parametrize("case", FILES)
def test_hostile_onnx(case: str, refused: Refused, tmp_path: Path) -> None:
    write, words = FILES[case]
    folder = tmp_path / "given"
    folder.mkdir()
    file = folder / "x.onnx"
    if callable(write):
        write(file)
    else:
        file.write_bytes(write.SerializeToString())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = refused("convert", Path("given") / "x.onnx", *SCENE)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert "x.onnx" in line
    assert words in line
    assert line.isprintable()
    assert len(line) < 1000
    assert not list(tmp_path.rglob("executed"))
    assert grown < 300_000, "kilobytes"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--architecture", "hybridsn"), "--architecture"),
        (("--widths", "3", "4"), "--architecture"),
        (("--window", "7"), "--window: found 7, expected 5"),
    ],
)
def test_options_that_the_file_decides(
    options: tuple[str, ...], words: str, refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "x.onnx").write_bytes(RAW)
    line = refused("convert", "x.onnx", *SCENE, *options)
    assert words in line
    assert "x.onnx" in line


def test_without_the_extra(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.onnx").write_bytes(RAW)
    monkeypatch.setitem(sys.modules, "onnx", None)
    line = refused("convert", "x.onnx", *SCENE)
    assert line.endswith("pip install 'snnquant[onnx]'")
