"""The table of layers that any network yields."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

KINDS: dict[type[nn.Module], str] = {
    nn.Conv3d: "conv3d",
    nn.Conv2d: "conv2d",
    nn.Conv1d: "conv1d",
    nn.Linear: "linear",
}


@dataclass(frozen=True)
class LayerInfo:
    """One synaptic layer: shapes without the batch, and its multiply-accumulates a pass."""

    name: str
    kind: str
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    mac: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def layer_table(model: nn.Module, example: Tensor) -> list[LayerInfo]:
    """The convolutions and dense layers of a network in the order in which they run.

    Counted by hooks on a real forward pass of `example` [1, 1, bands, window, window], so it holds
    for a CNN and, T steps folded into its batch, for an SNN alike.
    """
    rows: list[LayerInfo] = []

    def record(name: str, kind: str) -> Any:
        def hook(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            weight = module.weight
            out = tuple(output.shape[1:])
            spatial = () if kind == "linear" else module.stride
            padding = () if kind == "linear" else _padding(module)
            mac = weight[0].numel() * output[0].numel()
            shape = tuple(inputs[0].shape[1:])
            rows.append(
                LayerInfo(name, kind, shape, tuple(weight.shape), out, spatial, padding, mac)
            )

        return hook

    handles = [
        module.register_forward_hook(record(name, kind))
        for name, module in model.named_modules()
        for cls, kind in KINDS.items()
        if isinstance(module, cls)
    ]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(example)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return rows


def _padding(convolution: Any) -> tuple[int, ...]:
    """Zeros on either side of each axis, also where they are given by a word."""
    if isinstance(convolution.padding, tuple):
        return convolution.padding
    if convolution.padding == "valid":
        return (0,) * len(convolution.kernel_size)
    sizes = zip(convolution.kernel_size, convolution.dilation, strict=True)
    return tuple(dilation * (kernel - 1) // 2 for kernel, dilation in sizes)


def parameter_count(model: nn.Module) -> int:
    """Trainable numbers of a model; a quantized weight counts once."""
    return sum(parameter.numel() for parameter in model.parameters())
