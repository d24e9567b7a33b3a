"""Whitened forms of the spectrum inside the files: raw patches in, the network's logits out."""

from __future__ import annotations

import importlib.util
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
from snnquant.quantization import quantize
from snnquant.sampling import Normalisation
from snnquant.scenes import Scene, load_scene

ALL = "raw+snv+log-derivative"
SPECTRA = ("snv", "log-derivative", ALL)
MODELS = ("cnn1x1", "cnn1x1h", "cnn32h")
WINDOW = 3


def scene_of_a_sensor(odd_pixels: bool) -> Scene:
    """Return spectra in the units of a sensor, with a flat and a dark one or without."""
    scene = load_scene("synthetic:12x12x20")
    scene.cube[..., :] = 1000 + 300 * scene.cube
    if odd_pixels:
        scene.cube[1, 1] = 0.1
        scene.cube[1, 2] = -5
    return scene


def case(
    model: str, spectra: str, scaling: str = "within-class", odd_pixels: bool = False
) -> tuple[Any, ...]:
    """Return CNN, SNN, raw patches [N, 1, B, h, w], those that the network takes, normalisation."""
    scene = scene_of_a_sensor(odd_pixels)
    config = ModelConfig(name=model, window=WINDOW, spectra=spectra)
    normalisation = Normalisation.fit(scene, np.flatnonzero(scene.labels), 0, scaling, spectra)
    raw, taken = (windows(cube) for cube in (scene.cube, normalisation.apply(scene.cube)))
    torch.manual_seed(0)
    cnn = build_model(config, scene.bands, scene.classes).eval()
    snn, _ = convert(cnn, taken[:1], taken)
    return cnn, snn.eval(), raw, taken, normalisation


def windows(cube: np.ndarray) -> Tensor:
    """Return the patches [N, 1, B, h, w] of the first rows of a cube."""
    found = np.lib.stride_tricks.sliding_window_view(cube[:5], (WINDOW, WINDOW), (0, 1))
    return torch.from_numpy(found.reshape(-1, 1, cube.shape[-1], WINDOW, WINDOW).copy())


@pytest.mark.parametrize("spectra", ["raw", *SPECTRA])
@pytest.mark.parametrize("scaling", ["standard", "within-class"])
def test_raw_patches_give_the_logits_of_prepared_ones(spectra: str, scaling: str) -> None:
    cnn, _, raw, taken, normalisation = case("cnn1x1", spectra, scaling, odd_pixels=True)
    deployed = Deployed(cnn, normalisation)
    assert deployed.bands == raw.shape[2]
    assert taken.shape[2] == inputs_of(spectra, raw.shape[2])
    with torch.no_grad():
        torch.testing.assert_close(deployed(raw), cnn(taken), rtol=1e-3, atol=1e-3)


def inputs_of(spectra: str, bands: int) -> int:
    return sum(bands - (form == "log-derivative") for form in spectra.split("+"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "spectra"), [*((model, ALL) for model in MODELS), ("cnn1x1", "snv")]
)
def test_onnx_takes_raw_patches(model: str, spectra: str, tmp_path: Path) -> None:
    cnn, _, raw, taken, normalisation = case(model, spectra, odd_pixels=True)
    with torch.no_grad():
        expected = cnn(taken)
    found = run_onnx(ExportRequest(cnn, taken, normalisation), "onnx", raw, tmp_path)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_qdq_takes_raw_patches_of_a_spiking_network(model: str, tmp_path: Path) -> None:
    _, snn, raw, taken, normalisation = case(model, ALL)
    quantize(snn, QuantizationConfig(bits=6))
    with torch.no_grad():
        expected = snn(taken)
    found = run_onnx(ExportRequest(snn, taken, normalisation), "qdq", raw, tmp_path)
    assert_nearly_alike(found, expected)


def run_onnx(request: ExportRequest, form: Any, raw: Tensor, folder: Path) -> Tensor:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason="needs the extra onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    export(request, folder / "network.onnx", form)
    session = runtime.InferenceSession(str(folder / "network.onnx"))
    assert session.get_inputs()[0].shape[1:] == list(raw.shape[1:])
    return torch.from_numpy(session.run(None, {"patches": raw.numpy()})[0])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("spectra", SPECTRA)
def test_the_module_of_snntorch_takes_raw_patches(model: str, spectra: str, tmp_path: Path) -> None:
    pytest.importorskip("snntorch", reason="the module is one of snnTorch")
    _, snn, raw, taken, normalisation = case(model, spectra)
    export(ExportRequest(snn, taken, normalisation), tmp_path / "written.py", "snntorch")
    specification = importlib.util.spec_from_file_location("written", tmp_path / "written.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    with torch.no_grad():
        found, expected = module.load()(raw), snn(taken)
    assert f"[N, 1, {raw.shape[2]}, {WINDOW}, {WINDOW}]" in (tmp_path / "written.py").read_text()
    assert_nearly_alike(found, expected)


def assert_nearly_alike(found: Tensor, expected: Tensor) -> None:
    """Compare logits: a potential within rounding of its threshold may spike or not."""
    spread = expected - expected.mean(0)
    assert spread.norm() > 0.05, "all pixels alike"
    assert (found - expected).norm() < 0.3 * spread.norm()


def test_nir_stores_the_front_end_for_its_reader(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir", reason="NIR's own package writes and reads its files")
    _, _, _, taken, normalisation = case("cnn3d", ALL)
    torch.manual_seed(0)
    config = ModelConfig(name="cnn3d", window=1, spectra=ALL)
    pixels = taken[..., :1, :1].contiguous()
    snn, _ = convert(build_model(config, 20, 3).eval(), pixels[:1], pixels)
    export(ExportRequest(snn.eval(), pixels, normalisation), tmp_path / "network.nir", "nir")
    metadata = nir.read(tmp_path / "network.nir").nodes["input"].metadata
    assert metadata["spectra"] == ALL
    assert metadata["floor"] == pytest.approx(normalisation.floor)
    for name in ("mean", "std", "components"):
        np.testing.assert_array_equal(metadata[name], getattr(normalisation, name))


@pytest.mark.parametrize("form", ["snntorch", "nir", "brian2"])
def test_a_cnn_of_1x1_kernels_is_refused_in_a_line(form: Any, tmp_path: Path) -> None:
    cnn: nn.Module
    cnn, _, _, taken, normalisation = case("cnn1x1", ALL)
    name = tmp_path / ("network.nir" if form == "nir" else "network.py")
    with pytest.raises(InputError, match="found a CNN, expected a spiking network") as refusal:
        export(ExportRequest(cnn, taken, normalisation), name, form)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())
