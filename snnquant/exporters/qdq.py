"""ONNX with quantized weights, activations and pixels as integers, each dequantized."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.exporters import ExportRequest
from snnquant.exporters.onnx_file import save, to_model
from snnquant.io import require_extra
from snnquant.quantization import integer_weights
from snnquant.quantization.activations import ActivationQuantizer


def write_qdq(request: ExportRequest, path: Path) -> None:
    """Write a quantized network as `write_onnx` does, its weights as int8 or uint8 codes.

    A DequantizeLinear with the scales, one per output channel or one per weight, stands between
    codes and layer: (code - zero point) * scale is the weight bit for bit. Codes of fewer than 8
    bits are stored as 8. Quantized activations, and pixels of up to 8 bits, are clipped and become
    8-bit codes between a QuantizeLinear and a DequantizeLinear. Biases are float32.
    Also raises InputError for a network without quantized weights, and for activations that are
    rounded up, as QuantizeLinear does not.
    """
    weights = _integer_weights(request.network)
    if not weights:
        raise InputError("qdq: found weights in floating point, expected a quantized network")
    for name, module in request.network.named_modules():
        if isinstance(module, ActivationQuantizer) and module.quantizer == "bcgd":
            found = "found activations that bcgd rounds up"
            raise InputError(f"qdq: layer {name}: {found}, expected lsq or pact; onnx takes them")
    model = to_model(request)
    _put_pairs(model.graph)
    for name, integers in weights.items():
        _put_codes(model.graph, f"network.{name}.weight", *integers)
    storage = "weights, activations and pixels of up to 8 bits stored in 8; biases float32"
    save(path, model, {**request.metadata, "quantization": storage})


def _integer_weights(network: nn.Module) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Return codes, scale and zero point of every quantized layer."""
    found = {}
    for name, module in network.named_modules():
        if "weight" in getattr(module, "parametrizations", {}):
            found[name] = integer_weights(module)
    return found


def _put_codes(graph: Any, name: str, codes: Tensor, scale: Tensor, zero_point: Tensor) -> None:
    """Replace a weight's values by its codes and a new first node that computes them."""
    (onnx,) = require_extra("onnx", "onnx")
    (weight,) = (tensor for tensor in graph.initializer if tensor.name == name)
    graph.initializer.remove(weight)
    channels = scale.numel() > 1
    shape, axis = ((len(codes),), {"axis": 0}) if channels else ((), {})
    parts = {
        "codes": codes,
        "scale": scale.reshape(shape),
        "zero_point": zero_point.to(codes.dtype).reshape(shape),
    }
    for part, values in parts.items():
        graph.initializer.append(onnx.numpy_helper.from_array(values.numpy(), f"{name}_{part}"))
    inputs = [f"{name}_{part}" for part in parts]
    node = onnx.helper.make_node("DequantizeLinear", inputs, [name], f"dequantize_{name}", **axis)
    graph.node.insert(0, node)


@dataclass(frozen=True)
class _Rounding:
    """The nodes of ``clamp(round(x / scale), low, high) * scale``, and these numbers."""

    nodes: tuple[Any, ...]
    scale: Any
    low: float
    high: float


def _put_pairs(graph: Any) -> None:
    """Replace each rounding to codes of 8 bits by a clip, QuantizeLinear and DequantizeLinear."""
    (onnx,) = require_extra("onnx", "onnx")
    for i, found in enumerate(_roundings(graph)):
        name, code = f"codes_{i}", np.int8 if found.low < 0 else np.uint8
        limits = np.iinfo(code)
        if not limits.min <= found.low < found.high <= limits.max:
            continue  # QuantizeLinear knows no wider codes
        numbers = {
            "scale": found.scale,
            "zero_point": np.zeros((), code),
            "low": np.asarray(found.scale * found.low),
            "high": np.asarray(found.scale * found.high),
        }
        for key, value in numbers.items():
            graph.initializer.append(onnx.numpy_helper.from_array(value, f"{name}_{key}"))
        first, last = found.nodes[0], found.nodes[-1]
        coding = [f"{name}_scale", f"{name}_zero_point"]
        made = [
            onnx.helper.make_node(
                "Clip", [first.input[0], f"{name}_low", f"{name}_high"], [f"{name}_clipped"]
            ),
            onnx.helper.make_node("QuantizeLinear", [f"{name}_clipped", *coding], [name]),
            onnx.helper.make_node("DequantizeLinear", [name, *coding], list(last.output)),
        ]
        at = next(k for k, node in enumerate(graph.node) if node.output == first.output)
        for node in found.nodes:
            graph.node.remove(node)
        for k, node in enumerate(made):
            graph.node.insert(at + k, node)


def _roundings(graph: Any) -> list[_Rounding]:
    (onnx,) = require_extra("onnx", "onnx")
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    found = []
    for last in graph.node:
        nodes, names = [last], ("Mul", "Clip", "Round", "Div")
        while len(nodes) < 4 and nodes[0].op_type == names[len(nodes) - 1]:
            before = makers.get(nodes[0].input[0])
            if before is None:
                break
            nodes.insert(0, before)
        if [node.op_type for node in nodes] != list(reversed(names)):
            continue
        divide, _, clip, multiply = nodes
        scales = [values.get(node.input[1]) for node in (divide, multiply)]
        bounds = [values.get(bound) for bound in clip.input[1:]]
        if all(v is not None and v.ndim == 0 for v in (*scales, *bounds)):
            low, high = (float(bound) for bound in bounds if bound is not None)
            if scales[0] == scales[1]:
                found.append(_Rounding(tuple(nodes), scales[0], low, high))
    return found
