"""The layer table: shapes and multiply-accumulates of a network's convolutions and dense layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from snnquant.nn.hooks import evaluating, recording
from snnquant.nn.kinds import SYNAPSE_NAMES, SYNAPSES


@dataclass(frozen=True)
class LayerInfo:
    """One synaptic layer: shapes without the batch, and multiply-accumulates per forward.

    Attributes:
        name: Path of the module in the network.
        kind: `conv1d`, `conv2d`, `conv3d` or `linear`.
        input_shape: Shape of one sample's input.
        weight_shape: [out, in / groups, *kernel], or [out, in].
        output_shape: Shape of one sample's output.
        stride: One number per axis of the kernel; empty for a dense layer.
        padding: Zeros on either side of each axis of the kernel; empty for a dense layer.
        mac: Multiply-accumulates per sample.
        groups: Groups of channels that are convolved apart; 1 for a dense layer.
        dilation: Distance of the kernel's values per axis; empty for a dense layer.
    """

    name: str
    kind: str
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    mac: int
    groups: int = 1
    dilation: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def layer_table(model: nn.Module, example: Tensor) -> list[LayerInfo]:
    """List the convolutions and dense layers of a network in the order in which they run.

    The shapes are recorded during a forward, so they hold for any CNN and for any SNN, which folds
    its time steps into the batch.

    Args:
        model: A CNN or an SNN.
        example: One input [1, ...], for the networks of this package [1, 1, bands, window, window].

    Returns:
        One row per forward of a layer, with shapes without the batch.

    Example:
        >>> import torch
        >>> from snnquant.config import ModelConfig
        >>> from snnquant.models import build_model
        >>> from snnquant.nn import layer_table
        >>> cnn = build_model(ModelConfig(name="cnn32h"), bands=103, classes=9)
        >>> for row in layer_table(cnn, torch.zeros(1, 1, 103, 5, 5)):
        ...     print(row.name, row.kind, row.output_shape, row.mac)
        conv1 conv3d (8, 25, 3, 3) 113400
        conv2 conv3d (16, 7, 3, 3) 40320
        conv3 conv2d (128, 1, 1) 129024
        conv4 conv2d (128, 1, 1) 16384
        classifier linear (9,) 1152
    """
    rows: list[LayerInfo] = []

    def note(name: str, module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kind = next(kind for cls, kind in SYNAPSE_NAMES.items() if isinstance(module, cls))
        weight, dense = module.weight, kind == "linear"
        rows.append(
            LayerInfo(
                name,
                kind,
                input_shape=tuple(inputs[0].shape[1:]),
                weight_shape=tuple(weight.shape),
                output_shape=tuple(output.shape[1:]),
                stride=() if dense else module.stride,
                padding=() if dense else _padding(module),
                mac=weight[0].numel() * output[0].numel(),
                groups=1 if dense else module.groups,
                dilation=() if dense else module.dilation,
            )
        )

    synapses = {n: module for n, module in model.named_modules() if isinstance(module, SYNAPSES)}
    with evaluating(model), recording(synapses, note):
        model(example)
    return rows


def _padding(convolution: Any) -> tuple[int, ...]:
    """Count the zeros on either side of each axis, also where they are given by a word."""
    if isinstance(convolution.padding, tuple):
        return convolution.padding
    if convolution.padding == "valid":
        return (0,) * len(convolution.kernel_size)
    sizes = zip(convolution.kernel_size, convolution.dilation, strict=True)
    return tuple(dilation * (kernel - 1) // 2 for kernel, dilation in sizes)


def parameter_count(model: nn.Module) -> int:
    """Count the trainable numbers of a model; a quantized weight counts once.

    Example:
        >>> from torch import nn
        >>> from snnquant.nn import parameter_count
        >>> parameter_count(nn.Linear(10, 4))
        44
    """
    return sum(parameter.numel() for parameter in model.parameters())
