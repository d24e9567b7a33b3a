"""`snnquant convert` of ONNX files as exporters write them, and `snnquant export` of a run."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.checkpoints import load_checkpoint

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command, Finished, Refused

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
pytest.importorskip("onnxscript", reason="needs the extra onnx")

BANDS, CLASSES = 16, 8
SCENE = ("--scene", f"synthetic:24x24x{BANDS}")


class Net(nn.Module):
    """With what exporters write in many ways: batch norm, computed shapes, a residual."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv3d(1, 4, (7, 3, 3), stride=(3, 1, 1), padding=(0, 1, 1), bias=False)
        self.norm = nn.BatchNorm3d(4)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.dense = nn.Linear(64, CLASSES)
        self.norm.running_var.uniform_(0.5, 2)
        self.norm.running_mean.uniform_(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv1(x)))
        x = x.reshape(x.shape[0], -1, *x.shape[3:])
        x = torch.relu(self.conv2(x)) + x
        return torch.softmax(self.dense(self.pool(x).flatten(1)), 1)


def by_tracing(network: nn.Module, x: Tensor, file: Path) -> None:
    torch.onnx.export(network, (x,), file, dynamo=False, dynamic_axes={"patch": [0]}, **NAMES)


def for_one_sample(network: nn.Module, x: Tensor, file: Path) -> None:
    torch.onnx.export(network, (x[:1],), file, dynamo=False, **NAMES)


def by_dynamo(network: nn.Module, x: Tensor, file: Path) -> None:
    shapes = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(network, (x,), file, dynamo=True, dynamic_shapes=shapes, **NAMES)
    assert file.with_name(f"{file.name}.data").exists(), "weights beside it"


NAMES: dict[str, Any] = {"input_names": ["patch"], "output_names": ["logits"]}


@pytest.mark.parametrize(
    "write", [by_tracing, for_one_sample, pytest.param(by_dynamo, marks=pytest.mark.slow)]
)
def test_files_of_torch(
    write: Any, snnquant: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's CNN is the file's, and the file is not needed afterwards."""
    monkeypatch.chdir(tmp_path)
    network, x = Net().eval(), torch.randn(4, 1, BANDS, 5, 5)
    with warnings.catch_warnings(action="ignore"):
        write(network, x, tmp_path / "my_cnn.onnx")
    outcome = snnquant("convert", "my_cnn.onnx", *SCENE, "--output", "run", "--json")
    assert outcome.code == 0, outcome.err
    assert "takes patches as [N, 1, bands, window, window]" in outcome.err
    report = json.loads(outcome.out)
    assert {"cnn_fp32", "snn_converted"} <= set(report)
    key_map = report["key_map"]
    assert key_map["by"] == "graph"
    assert {"conv2.weight", "dense.bias"} <= {theirs for theirs, _ in key_map["pairs"]}
    assert "Softmax" in {
        row["found"] for row in key_map["operations"] if row["action"] == "dropped"
    }
    for file in tmp_path.glob("my_cnn.onnx*"):
        file.unlink()
    with torch.no_grad():
        found = load_checkpoint(tmp_path / "run" / "cnn.safetensors").network(x)
        torch.testing.assert_close(found.softmax(1), network(x))
    assert snnquant("evaluate", "run").code == 0


def test_channels_last_as_keras_writes_them(
    snnquant: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[N, 7, 7, bands, 1]: the layout and the window are the file's."""
    monkeypatch.chdir(tmp_path)
    make, draw = onnx.helper.make_node, np.random.default_rng(0)
    tensors = {
        "kernel": draw.normal(size=(4, 1, 3, 3, 7)) * 0.2,
        "bias": draw.normal(size=(1, 4, 1, 1, 1)),
        "dense": draw.normal(size=(7 * 7 * BANDS * 4, CLASSES)) * 0.1,
        "shape": np.array([-1, 7 * 7 * BANDS * 4]),
    }
    nodes = [
        make("Transpose", ["x"], ["first"], perm=[0, 4, 1, 2, 3]),
        make("Conv", ["first", "kernel"], ["c"], auto_pad="SAME_UPPER", kernel_shape=[3, 3, 7]),
        make("Add", ["c", "bias"], ["b"]),
        make("Relu", ["b"], ["r"]),
        make("Transpose", ["r"], ["last"], perm=[0, 2, 3, 4, 1]),
        make("Reshape", ["last", "shape"], ["flat"]),
        make("MatMul", ["flat", "dense"], ["y"]),
    ]
    number = onnx.TensorProto.FLOAT
    stored = [
        onnx.numpy_helper.from_array(v if v.ndim == 1 else v.astype(np.float32), name)
        for name, v in tensors.items()
    ]
    x = onnx.helper.make_tensor_value_info("x", number, ["n", 7, 7, BANDS, 1])
    y = onnx.helper.make_tensor_value_info("y", number, ["n", CLASSES])
    graph = onnx.helper.make_graph(nodes, "keras", [x], [y], stored)
    versions = [onnx.helper.make_opsetid("", 15)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=versions, ir_version=8), "cnn.onnx")
    outcome = snnquant("convert", "cnn.onnx", *SCENE, "--output", "run")
    assert outcome.code == 0, outcome.err
    assert "takes patches as [N, window, window, bands, 1]" in outcome.err
    checkpoint = load_checkpoint(tmp_path / "run" / "cnn.safetensors")
    assert checkpoint.model.window == 7
    patches = torch.randn(3, 1, BANDS, 7, 7)
    channels_last = patches.permute(0, 3, 4, 2, 1).numpy()
    (expected,) = onnxruntime.InferenceSession("cnn.onnx").run(None, {"x": channels_last})
    with torch.no_grad():
        found = checkpoint.network(patches).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("subcommand", ["run", "train"])
def test_an_onnx_file_cannot_be_trained(subcommand: str, refused: Refused) -> None:
    assert "only convert takes" in refused(subcommand, *SCENE, "--model", "my_cnn.onnx")


@pytest.mark.slow
def test_export_of_a_run(finished: Finished, snnquant: Command, tmp_path: Path) -> None:
    """Its default network, all of its own test pixels, and its scene in the metadata."""
    from snnquant.pipeline.run import Run
    from snnquant.sampling import Normalisation, Patches
    from snnquant.training import predict

    outcome = snnquant(
        "export", finished.folder, "--format", "qdq", "--output", tmp_path / "q.onnx"
    )
    assert outcome.code == 0, outcome.err
    run = Run.open(finished.folder)
    pixels = torch.from_numpy(run.split.test)
    expected = predict(run.load("cnn_quantized").network, run.patches, pixels)
    nothing = Normalisation(np.zeros(BANDS, np.float32), np.ones(BANDS, np.float32))
    raw = Patches(run.scene.cube, 5, nothing).gather(pixels)
    session = onnxruntime.InferenceSession(str(tmp_path / "q.onnx"))
    found = torch.from_numpy(session.run(None, {"patches": raw.numpy()})[0])
    # A value between two codes of a pixel or an activation may be rounded to either, and is one of
    # many in the mean over a window.
    assert (found - expected).abs().mean() < 1e-3 * expected.abs().mean()
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)
    assert (found.argmax(1) == expected.argmax(1)).double().mean() > 0.995
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["class_names"]) == list(run.scene.class_names)
    assert facts["weight_bits"] == "6"


class Plain(nn.Module):
    """A CNN of [N, bands, rows, columns] whose first layer is padded."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2 = nn.Conv2d(BANDS, 8, 3, padding=1), nn.Conv2d(8, 8, 3)
        self.dense = nn.Linear(72, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(torch.relu(self.conv2(torch.relu(self.conv1(x)))).flatten(1))


class Normalising(Plain):
    """The same with (x - mean) / std in front."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.rand(1, BANDS, 1, 1))
        self.register_buffer("std", torch.rand(1, BANDS, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - self.mean) / self.std)


@pytest.mark.filterwarnings("ignore")
def test_normalisation_in_the_graph_is_no_layer_of_the_cnn(
    snnquant: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores, counts and prices are those of the CNN without it, on pixels scaled as it does."""
    monkeypatch.chdir(tmp_path)
    inside, plain, x = Normalising().eval(), Plain().eval(), torch.randn(4, BANDS, 5, 5)
    plain.load_state_dict(inside.state_dict(), strict=False)
    by_tracing(inside, x, tmp_path / "inside.onnx")
    by_tracing(plain, x, tmp_path / "plain.onnx")
    np.savez("own.npz", mean=inside.mean.numpy().ravel(), std=inside.std.numpy().ravel())
    reports = {}
    for name, scaling in (("inside", "none"), ("plain", "own.npz")):
        outcome = snnquant(
            *("convert", f"{name}.onnx", *SCENE, "--scaling", scaling),
            *("--pixel-bits", "32", "--output", name, "--json"),
        )
        assert outcome.code == 0, outcome.err
        assert ("the normalisation inside the CNN is part" in outcome.err) == (name == "inside")
        reports[name] = json.loads(outcome.out)
    found, expected = reports["inside"], reports["plain"]
    folded = [row for row in found["key_map"]["operations"] if row["action"] == "folded"]
    assert [row["layer"] for row in folded] == ["input", "input"]
    shapes = [layer["weight_shape"] for layer in found["model"]["layers"]]
    assert shapes == [[8, BANDS, 3, 3], [8, 8, 3, 3], [CLASSES, 72]]
    assert found["operations"]["cnn_fp32"]["mac"] == 25 * 8 * 9 * BANDS + 9 * 8 * 72 + 72 * CLASSES
    names = [[row["name"] for row in report["model"]["layers"]] for report in (found, expected)]
    assert names[0] == names[1]
    for of_found, of_expected in zip(
        (found["operations"], *found["energy_pj"].values()),
        (expected["operations"], *expected["energy_pj"].values()),
        strict=True,
    ):
        assert of_found["cnn_fp32"] == of_expected["cnn_fp32"]
        assert of_found["snn_converted"] == pytest.approx(of_expected["snn_converted"], rel=0.02)
    assert found["cnn_fp32"]["oa"] == pytest.approx(expected["cnn_fp32"]["oa"], abs=0.005)
    raw = np.random.default_rng(0).random((6, 5, 5, BANDS)).astype(np.float32)
    checkpoint = load_checkpoint(tmp_path / "inside" / "cnn.safetensors")
    assert checkpoint.scaling == "none"
    given = torch.from_numpy(checkpoint.normalisation.apply(raw)).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected_logits = inside(torch.from_numpy(raw).permute(0, 3, 1, 2))
        torch.testing.assert_close(checkpoint.network(given[:, None]), expected_logits)
