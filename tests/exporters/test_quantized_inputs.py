"""Pixels on a grid and quantized activations inside the files."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, QuantizationConfig
from snnquant.conversion import convert
from snnquant.errors import InputError
from snnquant.exporters import ExportRequest, export
from snnquant.exporters.deployed import Deployed
from snnquant.models import build_model
from snnquant.quantization import Calibration, quantize
from snnquant.sampling import Normalisation
from snnquant.scenes import load_scene

WINDOW = 3


def case(
    scaling: str, bits: int = 8, activation_bits: int = 6, quantizer: str = "lsq"
) -> tuple[nn.Module, Tensor, Tensor, Normalisation]:
    """Return a quantized CNN, raw patches, those that it takes, and the normalisation."""
    scene = load_scene("synthetic:12x12x20")
    pixels = np.flatnonzero(scene.labels)
    fitted = Normalisation.fit(scene, pixels, 0, scaling)
    normalisation = fitted.on_grid(scene.cube, pixels, bits)
    raw, taken = (windows(cube) for cube in (scene.cube, normalisation.apply(scene.cube)))
    torch.manual_seed(0)
    cnn = build_model(
        ModelConfig(name="cnn32h", widths=(3, 3, 6, 6), window=WINDOW), scene.bands, 4
    ).eval()
    config = QuantizationConfig(activation_bits=activation_bits, activation_quantizer=quantizer)  # type: ignore[arg-type]
    return quantize(cnn, config, Calibration(taken)).eval(), raw, taken, normalisation


def windows(cube: np.ndarray) -> Tensor:
    found = np.lib.stride_tricks.sliding_window_view(cube[:5], (WINDOW, WINDOW), (0, 1))
    return torch.from_numpy(found.reshape(-1, 1, cube.shape[-1], WINDOW, WINDOW).copy())


@pytest.mark.parametrize("bits", [3, 8, 14])
@pytest.mark.parametrize("scaling", ["standard", "within-class", "minmax"])
@torch.no_grad()
def test_raw_patches_become_the_codes_that_the_network_takes(scaling: str, bits: int) -> None:
    _, raw, taken, normalisation = case(scaling, bits)
    found = Deployed(nn.Sequential(nn.Identity()), normalisation)(raw)
    assert torch.equal(found, taken)


@pytest.mark.parametrize("quantizer", ["lsq", "pact", "bcgd"])
@torch.no_grad()
def test_quantized_activations_are_the_same_as_plain_operations(quantizer: str) -> None:
    cnn, raw, taken, normalisation = case("standard", 8, 4, quantizer)
    deployed = Deployed(cnn, normalisation)
    assert len(cnn(taken).unique()) > 20
    assert torch.equal(deployed(raw), cnn(taken))


@torch.no_grad()
def test_the_module_of_snntorch_rounds_raw_patches(tmp_path: Path) -> None:
    pytest.importorskip("snntorch", reason="the module is one of snnTorch")
    for scaling in ("standard", "within-class"):
        _, raw, taken, normalisation = case(scaling)
        torch.manual_seed(0)
        cnn = build_model(
            ModelConfig(name="cnn32h", widths=(3, 3, 6, 6), window=WINDOW), 20, 4
        ).eval()
        snn, _ = convert(cnn, taken[:1], taken)
        file = tmp_path / f"written_{scaling[:4]}.py"
        export(ExportRequest(snn.eval(), taken, normalisation), file, "snntorch")
        specification = importlib.util.spec_from_file_location("written", file)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        torch.testing.assert_close(module.load()(raw), snn(taken), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("quantizer", ["lsq", "pact"])
def test_qdq_holds_pairs_around_every_code(quantizer: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
    cnn, raw, taken, normalisation = case("standard", 8, 4, quantizer)
    file = tmp_path / "cnn.onnx"
    export(ExportRequest(cnn, taken, normalisation), file, "qdq")
    graph = onnx.load(file).graph
    kinds = Counter(node.op_type for node in graph.node)
    assert kinds["QuantizeLinear"] == kinds["Clip"] == 5  # the pixels and four layers
    assert kinds["DequantizeLinear"] == 5 + 5  # and five weights
    assert "Round" not in kinds
    used = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= used
    types = {
        tensor.name: tensor.data_type
        for tensor in graph.initializer
        if tensor.name.endswith("zero_point")
    }
    assert types["codes_0_zero_point"] == onnx.TensorProto.INT8
    assert types["codes_1_zero_point"] == onnx.TensorProto.UINT8
    options: Any = runtime.SessionOptions()
    # Fused integer kernels round in another order.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(file), options)
    (found,) = session.run(None, {"patches": raw.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), cnn(taken), rtol=1e-5, atol=1e-6)


def test_qdq_refuses_activations_that_are_rounded_up(tmp_path: Path) -> None:
    cnn, _, taken, normalisation = case("standard", quantizer="bcgd")
    with pytest.raises(InputError, match=r"^qdq: layer relu1: found activations that bcgd rounds"):
        export(ExportRequest(cnn, taken, normalisation), tmp_path / "cnn.onnx", "qdq")
    assert not list(tmp_path.iterdir())


def test_nir_stores_the_grid_for_its_reader(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir", reason="NIR's own package writes and reads its files")
    _, _, taken, normalisation = case("standard")
    torch.manual_seed(0)
    config = ModelConfig(name="cnn3d", window=1)
    pixels = taken[..., :1, :1].contiguous()
    snn, _ = convert(build_model(config, 20, 3).eval(), pixels[:1], pixels)
    export(ExportRequest(snn.eval(), pixels, normalisation), tmp_path / "network.nir", "nir")
    metadata = nir.read(tmp_path / "network.nir").nodes["input"].metadata
    assert normalisation.grid is not None
    assert metadata["pixel_step"] == normalisation.grid.step
    assert (metadata["pixel_low"], metadata["pixel_high"]) == (-128, 127)
