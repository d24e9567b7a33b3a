"""ONNX with quantized weights as integers, each followed by a DequantizeLinear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.export import ExportRequest
from snnquant.export.onnx_file import save, to_model
from snnquant.io import require_extra
from snnquant.quantization import integer_weights


def write_qdq(request: ExportRequest, path: Path) -> None:
    """Write a quantized network as `write_onnx` does, its weights as int8 or uint8 codes.

    A DequantizeLinear with the scales, one per output channel or one per weight, stands between
    codes and layer: (code - zero point) * scale is the weight bit for bit. Codes of fewer than 8
    bits are stored as 8. Activations and biases are float32, as in the network.
    Also raises InputError for a network without quantized weights.
    """
    weights = _integer_weights(request.network)
    if not weights:
        raise InputError("qdq: found weights in floating point, expected a quantized network")
    model = to_model(request)
    for name, integers in weights.items():
        _put_codes(model.graph, f"network.{name}.weight", *integers)
    storage = "weights quantized to weight_bits, stored in 8; activations and biases float32"
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
