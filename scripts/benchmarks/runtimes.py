"""A dense CNN in the runtimes that a user would run: torch, onnxruntime, OpenVINO."""

from __future__ import annotations

import copy
import importlib.util
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Map = Callable[[], NDArray[np.uint8]]
Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Make = Callable[[nn.Module, Tensor, Path], Infer]
STRIP = 64
"""Rows of a strip, where a runtime is faster on strips than on the whole scene."""
NEEDED = {"onnxruntime": ("onnxruntime", "onnx", "onnxscript"), "OpenVINO": ("openvino", "onnx")}
"""Modules that a runtime takes; they come with the extra `bench`."""


class _PixelsFirst(nn.Module):
    """The network on pixels [H, W, B], as cubes lie in memory."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [1, K, h, w]."""
        logits: Tensor = self.network(x.permute(2, 0, 1)[None, None])
        return logits


def missing() -> dict[str, str]:
    """Return why runtimes are left out, by name."""
    absent = {
        name: [module for module in modules if importlib.util.find_spec(module) is None]
        for name, modules in NEEDED.items()
    }
    install = "pip install 'snnquant[bench]'"
    return {
        name: f"left out: no {', '.join(which)} ({install})"
        for name, which in absent.items()
        if which
    }


def dense_maps(network: nn.Module, pixels: NDArray[np.float32], folder: Path) -> dict[str, Map]:
    """Return maps of normalised pixels [H + 4, W + 4, B] by each runtime that is installed.

    Each runs in the form that is fastest for it in 32 bits: the whole scene or strips of rows,
    bands first or pixels first, which is tried out here. `network` takes tiles [1, 1, B, h, w] to
    logits.
    """
    for name in ("", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    network = _over_bands_in_two_dimensions(network, pixels.shape[2])
    runtimes: dict[str, dict[str, Make]] = {"torch": {"fp32": _torch}}
    absent = missing()
    if "onnxruntime" not in absent:
        runtimes["onnxruntime"] = {"fp32": _onnxruntime, "int8": _onnxruntime_int8}
    if "OpenVINO" not in absent:
        runtimes["OpenVINO"] = {"fp32": _openvino_as("f32"), "bf16": _openvino_as("bf16")}
    if not absent:
        runtimes["OpenVINO"]["int8"] = _openvino_int8
    whole, maps = len(pixels) - 4, {}
    for runtime, makes in runtimes.items():
        forms = {
            form: _form(makes["fp32"], network, pixels, folder, *form)
            for form in ((whole, False), (whole, True), (STRIP, True))
        }
        best = min(forms, key=lambda form: _seconds(forms[form]))
        for precision, make in makes.items():
            found = forms[best]
            if precision != "fp32":
                found = _form(make, network, pixels, folder, *best)
            maps[f"CNN, {runtime} {precision}"] = found
    return maps


def _seconds(run: Map) -> float:
    """Return the time of a run after one that warms up."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


class _AcrossBands(nn.Module):
    """A 3-D convolution of one channel over all bands, as a 2-D one with the bands as channels."""

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        weight = convolution.weight.detach()[:, 0]
        self.convolution = nn.Conv2d(weight.shape[1], len(weight), weight.shape[2:])
        self.convolution.weight = nn.Parameter(weight)
        self.convolution.bias = convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, F, 1, h, w]."""
        found: Tensor = self.convolution(x[:, 0])[:, :, None]
        return found


def _over_bands_in_two_dimensions(network: nn.Module, bands: int) -> nn.Module:
    """Copy a network whose first kernel may span all bands: runtimes are faster in 2-D."""
    twin = copy.deepcopy(network)
    for name, module in twin.named_modules():
        if isinstance(module, nn.Conv3d):
            space = (*module.padding, *module.stride[1:])
            if module.weight.shape[1:3] == (1, bands) and space == (0, 0, 0, 1, 1):
                twin.set_submodule(name, _AcrossBands(module))
            break
    return twin


def _form(
    make: Make,
    network: nn.Module,
    pixels: NDArray[np.float32],
    folder: Path,
    strip: int,
    pixels_first: bool,
) -> Map:
    height, width = (length - 4 for length in pixels.shape[:2])
    values = pixels if pixels_first else np.ascontiguousarray(pixels.transpose(2, 0, 1))[None, None]
    model = _PixelsFirst(network) if pixels_first else network

    def rows(top: int) -> NDArray[np.float32]:
        part = slice(top, top + strip + 4)
        return values[part] if pixels_first else values[..., part, :]

    infer = make(model, torch.from_numpy(np.ascontiguousarray(rows(0))), folder)

    def run() -> NDArray[np.uint8]:
        classes = np.empty((height, width), np.uint8)
        for top in [*range(0, height - strip, strip), height - strip]:
            logits = torch.from_numpy(infer(rows(top)))
            classes[top : top + strip] = logits[0].argmax(0).numpy() + 1
        return classes

    return run


def _torch(model: nn.Module, example: Tensor, folder: Path) -> Infer:
    @torch.inference_mode()
    def infer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = model(torch.from_numpy(values)).numpy()
        return logits

    return infer


def _onnx(model: nn.Module, example: Tensor, folder: Path) -> Path:
    path = folder / f"{isinstance(model, _PixelsFirst)}_{example.shape[-2]}_{example.shape[0]}.onnx"
    if not path.exists():
        torch.onnx.export(
            model.eval(), (example,), path, dynamo=True, verbose=False, external_data=False
        )
    return path


def _quantized(model: nn.Module, example: Tensor, folder: Path) -> Path:
    """Write weights and activations of 8 bits between quantize and dequantize nodes."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    source = _onnx(model, example, folder)
    path = source.with_suffix(".int8.onnx")

    class Example(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[dict[str, Any]] = iter([{_input(source): example.numpy()}])

        def get_next(self) -> dict[str, Any] | None:
            return next(self.left, None)

    if not path.exists():
        quantize_static(
            source,
            path,
            Example(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return path


def _input(path: Path) -> str:
    import onnx

    name: str = onnx.load(path, load_external_data=False).graph.input[0].name
    return name


def _session(path: Path) -> Infer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda values: session.run(None, {name: values})[0]  # type: ignore[no-any-return]


def _onnxruntime(model: nn.Module, example: Tensor, folder: Path) -> Infer:
    return _session(_onnx(model, example, folder))


def _onnxruntime_int8(model: nn.Module, example: Tensor, folder: Path) -> Infer:
    return _session(_quantized(model, example, folder))


def _compiled(path: Path, precision: str) -> Infer:
    import openvino

    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = openvino.Core().compile_model(path, "CPU", options)
    request = model.create_infer_request()

    def infer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        found = request.infer([np.ascontiguousarray(values)], share_inputs=True, share_outputs=True)
        logits: NDArray[np.float32] = found[0]
        return logits

    return infer


def _openvino_as(precision: str) -> Make:
    return lambda model, example, folder: _compiled(_onnx(model, example, folder), precision)


def _openvino_int8(model: nn.Module, example: Tensor, folder: Path) -> Infer:
    return _compiled(_quantized(model, example, folder), "f32")
