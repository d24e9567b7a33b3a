"""ONNX files of spiking networks and of quantized weights, run in onnxruntime beside torch."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.checkpoints import Checkpoint, save_checkpoint
from snnquant.cli import main
from snnquant.config import ModelConfig, QuantizationConfig
from snnquant.errors import InputError
from snnquant.exporters import ExportRequest, export
from snnquant.exporters.deployed import PLAIN, Deployed
from snnquant.models import build_model
from snnquant.quantization import Calibration, quantize
from snnquant.sampling import Normalisation
from snnquant.spiking import LIF, Reset, SpikingNetwork

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
pytest.importorskip("onnxscript", reason="needs the extra onnx")
RESETS = tuple(Reset)


def logits(file: Path, patches: Tensor) -> Tensor:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options)
    return torch.from_numpy(session.run(None, {"patches": patches.numpy()})[0])


@torch.no_grad()
def on_coarse_grid(network: nn.Module, x: Tensor) -> Tensor:
    """Round weights, neurons and inputs to few bits, so that sums are exact in any order."""
    for values in (*network.parameters(), *network.buffers()):
        values.copy_((values * 64).round() / 64)
    return (x * 16).round() / 16


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_random_spiking_networks_for_any_batch(
    seed: int, wired_network: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    network, x = wired_network(seed, RESETS, True)
    x = on_coarse_grid(network, x)
    file = tmp_path_factory.mktemp("onnx") / "snn.onnx"
    export(ExportRequest(network, x[:1]), file, "onnx")
    with torch.no_grad():
        expected = network(x)
    for batch in (4, 1, 3):
        torch.testing.assert_close(logits(file, x[:batch]), expected[:batch], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        "cnn32h",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("cnn1x1", "cnn1x1h", "makantasis")),
    ],
)
def test_real_pixels_as_the_sensor_has_them(
    model: str, on_indian_pines: Any, tmp_path: Path
) -> None:
    """Include a network on principal components, which the graph computes too."""
    network, x, normalisation = on_indian_pines(model, bits=6, leak=0.9)
    raw, x = raw_patches(x, normalisation)
    metadata = {"scene": "Indian Pines", "class_names": '["Älfa"]'}
    request = ExportRequest(network, x, normalisation, metadata)
    export(request, tmp_path / "snn.onnx", "onnx")
    with torch.no_grad():
        expected = network(x)
    found = logits(tmp_path / "snn.onnx", raw)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert torch.equal(found.argmax(1), expected.argmax(1))
    assert len(expected.unique(dim=0)) > 1, "all pixels alike"
    session = onnxruntime.InferenceSession(str(tmp_path / "snn.onnx"))
    assert session.get_modelmeta().custom_metadata_map == metadata
    assert not [p for p in tmp_path.iterdir() if p.name != "snn.onnx"], "one file"


def raw_patches(x: Tensor, normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    """Return pixels in the sensor's units, and the patches that the network makes of them."""
    mean, std = normalisation.mean, normalisation.std
    if normalisation.components is None:
        scores = x.numpy()[:, 0].transpose(0, 2, 3, 1)
    else:
        scores = x.numpy()[:, 0].transpose(0, 2, 3, 1) @ np.linalg.pinv(normalisation.components)
    raw = (scores * std + mean).astype(np.float32)
    back = normalisation.apply(raw)
    return tuple(
        torch.from_numpy(values.transpose(0, 3, 1, 2)[:, None].copy()) for values in (raw, back)
    )


@pytest.mark.parametrize(
    ("bits", "scheme", "granularity", "storage"),
    [(6, "symmetric", "channel", np.int8), (3, "affine", "tensor", np.uint8)],
)
def test_integer_weights(
    bits: int, scheme: Any, granularity: Any, storage: Any, tmp_path: Path
) -> None:
    """Compare the file's integers times its scales with the weights, bit for bit."""
    cnn, x = small_cnn()
    config = QuantizationConfig(bits=bits, scheme=scheme, granularity=granularity)
    quantize(cnn, config, Calibration(x))
    request = ExportRequest(cnn, x, metadata={"weight_bits": str(bits)})
    export(request, tmp_path / "cnn.onnx", "qdq")
    model = onnx.load(tmp_path / "cnn.onnx")
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    every = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    nodes = [node for node in every if node.output[0].endswith(".weight")]
    assert len(every) == len(nodes) + 1, "one more for the quantized ReLU"
    layers = {n: m for n, m in cnn.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    assert {node.output[0] for node in nodes} == {f"network.{name}.weight" for name in layers}
    for node in nodes:
        codes, scale, zero_point = (stored[name] for name in node.input)
        weight = layers[node.output[0].split(".")[1]].weight
        shape = (-1, *[1] * (codes.ndim - 1))
        values = (codes.astype(np.int32) - zero_point.reshape(shape)) * scale.reshape(shape)
        assert np.array_equal(values.astype(np.float32), weight.detach().numpy())
        assert codes.dtype == storage
        assert len(np.unique(codes)) <= 2**bits
        assert scale.size == (len(codes) if granularity == "channel" else 1)
    assert not [name for name in stored if name.endswith(".weight")], "no weight in float32"
    assert "stored in 8" in {e.key: e.value for e in model.metadata_props}["quantization"]
    with torch.no_grad():
        expected = cnn(x)
    torch.testing.assert_close(logits(tmp_path / "cnn.onnx", x), expected, rtol=0, atol=1e-5)


def small_cnn() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    cnn = nn.Sequential()
    for name, layer in (
        ("fold", nn.Flatten(1, 2)),
        ("conv", nn.Conv2d(6, 5, 2)),
        ("relu", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("dense", nn.Linear(20, 3)),
    ):
        cnn.add_module(name, layer)
    return cnn.eval(), torch.randn(4, 1, 6, 3, 3)


def test_weights_in_floating_point_have_no_integers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^qdq: .*floating point"):
        export(ExportRequest(*small_cnn()), tmp_path / "cnn.onnx", "qdq")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["onnx", "qdq"])
@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_without_the_extra(
    name: Any, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cnn, x = small_cnn()
    monkeypatch.setitem(sys.modules, missing, None)
    request = ExportRequest(quantize(cnn, QuantizationConfig()), x)
    with pytest.raises(InputError, match=rf"^{missing}: .*pip install 'snnquant\[onnx\]'$"):
        export(request, tmp_path / "x.onnx", name)
    assert not list(tmp_path.iterdir())


ADAPTIVE = (
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)


@given(
    kind=st.sampled_from(ADAPTIVE),
    lengths=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    counts=st.lists(st.integers(1, 9) | st.none(), min_size=3, max_size=3),
)
@settings(deadline=None)
def test_windows_of_adaptive_pools(kind: Any, lengths: list[int], counts: list[Any]) -> None:
    axes = int(kind.__name__[-2])
    x = torch.randn(2, 3, *lengths[:axes])
    pool = kind(counts[0] or 2 if axes == 1 else tuple(counts[:axes]))
    expected = pool(x)
    pool.__class__ = PLAIN[kind]
    torch.testing.assert_close(pool(x), expected)


@given(
    reset=st.sampled_from(RESETS),
    leak=st.floats(0, 1, width=32),
    threshold=st.floats(0.0625, 2, width=32),
    initial=st.sampled_from([0, 0.5]),
    seed=st.integers(0, 2**20),
)
@settings(deadline=None)
def test_unrolled_neurons_spike_as_ever(
    reset: str, leak: float, threshold: float, initial: float, seed: int
) -> None:
    """Compare bit for bit; the neurons of the network itself stay as they are."""
    neurons = nn.Sequential(LIF(leak, threshold, reset=reset, initial=initial))
    current = torch.randn(6, 40, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        expected = neurons(current)
        assert torch.equal(Deployed(neurons)(current), expected)
    assert type(neurons[0]) is LIF
    if leak > 0.5 > threshold:
        assert 0 < expected.mean() < 1


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("units", [False, True])
def test_narrow_potentials_and_leaks_of_powers_go_along_exactly(
    reset: str, units: bool, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    lif = LIF(0.7, 0.6, reset=reset, initial=0.5, leaks="two-powers", potential_bits=8)
    layers = {"conv": nn.Conv2d(1, 3, 3), "lif": lif, "flat": nn.Flatten(), "fc": nn.Linear(12, 4)}
    network = SpikingNetwork(layers, 5).eval()
    x = on_coarse_grid(network, torch.randn(7, 1, 4, 4))
    with torch.no_grad():
        lif.leak.fill_(0.7)
        expected = network(x)
        if units:
            lif.lay_units(torch.tensor([1.0, 3.0, 1.0]) / 1024)
            assert lif.grid().step.shape == (3,)
            expected = network(x)
    export(ExportRequest(network, x[:1]), tmp_path / "snn.onnx", "onnx")
    torch.testing.assert_close(logits(tmp_path / "snn.onnx", x), expected, rtol=0, atol=1e-6)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    config = ModelConfig(name="cnn32h", window=3, widths=(2, 2, 4, 4))
    torch.manual_seed(0)
    network = build_model(config, 20, 4).eval()
    statistics = Normalisation(np.full(20, 3, np.float32), np.full(20, 2, np.float32))
    file = tmp_path / "cnn.safetensors"
    save_checkpoint(file, Checkpoint(network, config, 20, 4, statistics, "scene", "split"))
    return file


@pytest.mark.slow
def test_the_command_on_a_checkpoint(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "cnn.onnx"
    main(["export", str(checkpoint), "--format", "onnx", "--output", str(file)])
    assert capsys.readouterr().out == f"{file}\n"
    metadata = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert {
        "bands": "20",
        "classes": "4",
        "weight_bits": "32",
        "window": "3",
    }.items() <= metadata.items()
    assert logits(file, torch.randn(5, 1, 20, 3, 3)).shape == (5, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--format", "onnx", "--network", "cnn_fp32"), "--network"),
        (("--format", "qdq"), "floating point"),
        (("--format", "tflite"), "tflite"),
    ],
)
def test_the_command_refuses_in_one_line(
    options: tuple[str, ...],
    words: str,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["export", str(checkpoint), *options, "--output", str(tmp_path / "x")])
    out, err = capsys.readouterr()
    assert (stop.value.code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err
    assert not (tmp_path / "x").exists()


def test_class_names_come_with_a_run(tmp_path: Path) -> None:
    from snnquant.exporters.metadata import metadata_of

    cnn, _ = small_cnn()
    statistics = Normalisation(np.zeros(6, np.float32), np.ones(6, np.float32))
    own = Checkpoint(cnn, ModelConfig(), 6, 3, statistics, "scene", "split")
    assert "class_names" not in metadata_of(own, "", ())
    metadata = metadata_of(own, "Field", ("Maïs", "Oats"))
    assert json.loads(metadata["class_names"]) == ["Maïs", "Oats"]
