"""A separable and a residual network through the whole chain, to every file and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pim_sim.cli import main as pim_sim
from snnquant.checkpoints import load_checkpoint
from snnquant.pipeline.scene_map import integer_network
from snnquant.stored_networks import Network

if TYPE_CHECKING:
    from tests.conftest import MakeOnce
    from tests.end_to_end.conftest import Command

BANDS = 16
WIDTHS = {"separable3d": ("6", "8", "8", "8"), "resnet3d": ("3", "4", "4", "6")}
QUICK = ("--cnn-epochs", "2", "--quantized-epochs", "1", "--snn-epochs", "2", "--time-steps", "2")
FORMATS = {"onnx": "net.onnx", "qdq": "net_q.onnx", "nir": "net.nir", "snntorch": "net.py",
           "brian2": "net_brian.py"}  # fmt: skip


@pytest.fixture(params=[*WIDTHS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(name: str, snnquant: Command, make_once: MakeOnce) -> Path:
    """A whole run of a network, only read."""

    def fill(folder: Path) -> None:
        options = ("--scene", f"synthetic:24x24x{BANDS}", "--model", name, *QUICK)
        outcome = snnquant(
            "run", *options, "--widths", *WIDTHS[name], "--output", folder / "run", "--json"
        )
        assert outcome.code == 0, outcome.err
        (folder / "metrics.json").write_text(outcome.out)

    return make_once(f"shapes_{name}", fill) / "run"


def metrics_of(run: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run.parent / "metrics.json").read_text())
    return metrics


def test_it_is_trained_converted_quantized_and_priced(run: Path, name: str) -> None:
    metrics = metrics_of(run)
    neurons = {
        "separable3d": [f"lif{i}" for i in range(1, 8)],
        "resnet3d": ["lif1", "lif2", "lif3a", "lif3", "lif4a", "lif4"],
    }
    assert list(metrics["spike_rates"]) == neurons[name]
    for network in ("cnn_fp32", "cnn_quantized", "cnn_twin", "snn_trained"):
        assert 0 < metrics[network]["oa"] <= 1
        assert all(table[network] > 0 for table in metrics["energy_pj"].values())


def test_its_workload_is_simulated(
    run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = json.loads((run / "workload.json").read_text())["layers"]
    assert len(layers) == {"separable3d": 8, "resnet3d": 8}[name]
    if name == "separable3d":
        assert [layer["name"] for layer in layers if layer.get("groups", 1) > 1]
    pim_sim(["run", "--run", str(run), "--json"])
    assert json.loads(capsys.readouterr().out)


def test_its_map_in_integers_is_nearly_that_in_floats(
    run: Path, name: str, snnquant: Command, tmp_path: Path
) -> None:
    pytest.importorskip("numba", reason="the integer engine's loops are compiled by numba")
    shutil.copytree(run, tmp_path / "copy")
    outcome = snnquant("map", tmp_path / "copy", "--engine", "integer")
    assert outcome.code == 0, outcome.err
    floats, integers = (np.load(folder / "map.npy") for folder in (run, tmp_path / "copy"))
    assert (floats == integers).mean() > 0.9
    checkpoint = load_checkpoint(run / Network.SNN_TRAINED.file)
    engine = integer_network(checkpoint, "snn_trained")
    x = torch.randn(1, 1, BANDS, 12, 12) * 3
    found = engine.tile_logits(x[0][None])
    kind = {"separable3d": "IntegerNetwork", "resnet3d": "DenseIntegerNetwork"}
    assert type(engine).__name__ == kind[name]
    patches = x[0].unfold(2, 5, 1).unfold(3, 5, 1).permute(2, 3, 0, 1, 4, 5).flatten(0, 1)
    with torch.no_grad():
        expected = checkpoint.network(patches).T.view_as(found)
    # A neuron at its threshold may spike in one and not in the other.
    assert (found - expected).abs().mean() < 0.1 * expected.abs().max()


@pytest.mark.parametrize("format", FORMATS)
def test_it_is_exported(
    run: Path, name: str, format: str, snnquant: Command, tmp_path: Path
) -> None:
    pytest.importorskip({"onnx": "onnx", "qdq": "onnx", "nir": "nir"}.get(format, "torch"))
    file = tmp_path / FORMATS[format]
    outcome = snnquant("export", run, "--format", format, "--output", file)
    if format == "nir":
        assert (outcome.code, file.exists()) == (2, False)
        assert "layer conv1 is Conv3d" in outcome.err
        return
    assert outcome.code == 0, outcome.err
    assert file.stat().st_size > 0
    if format == "onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(str(file))
        checkpoint = load_checkpoint(run / Network.SNN_TRAINED.file)
        x = torch.randn(5, 1, BANDS, 5, 5)
        [found] = session.run(None, {session.get_inputs()[0].name: x.numpy()})[:1]
        spectra = np.ascontiguousarray(x[:, 0].permute(0, 2, 3, 1).numpy())
        normalised = torch.from_numpy(checkpoint.normalisation.apply(spectra.reshape(25, 5, BANDS)))
        patches = normalised.view(5, 5, 5, BANDS).permute(0, 3, 1, 2)[:, None]
        with torch.no_grad():
            expected = checkpoint.network(patches.contiguous())
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-3, atol=1e-3)
