"""Residual networks as tables of blocks: each adds its input, or a projection of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from snnquant.config import ModelConfig
from snnquant.nn.convolutions import Conv3d
from snnquant.nn.graph import GraphNetwork
from snnquant.nn.wiring import PopulationMean, Sum


class Plain(NamedTuple):
    """A convolution and a ReLU, without padding."""

    filters: int
    spectral_kernel: int
    spectral_stride: int
    spatial_kernel: int


class Block(NamedTuple):
    """Two convolutions of three bands, padded along the bands, and a sum with the block's input.

    Where the block changes width or depth, a convolution of single values projects its input.
    """

    filters: int
    spectral_stride: int = 1


# The plain rows reduce the 5x5 window to one position, as those of cnn3d do.
RESIDUAL_TABLES: Mapping[str, tuple[Plain | Block, ...]] = {
    "resnet3d": (Plain(16, 7, 4, 3), Plain(32, 3, 2, 3), Block(32), Block(64, 2)),
}
"""Residual networks by name."""


def build_residual(
    config: ModelConfig, bands: int, outputs: int, *, batch_norm: bool
) -> GraphNetwork:
    """Build a network of `RESIDUAL_TABLES`: patches [N, 1, bands, w, w] to outputs [N, K].

    Layers of block 3 are named conv3a, relu3a, conv3b, shortcut3, add3 and relu3; a batch norm is
    named as its convolution, with norm_ before it. `widths` and `strides` name every row of the
    table.
    """
    table = RESIDUAL_TABLES[config.name]
    widths = config.per_layer("widths", [row.filters for row in table])
    strides = config.per_layer("strides", [row.spectral_stride for row in table])
    network = _Layers(batch_norm)
    channels, depth, side = 1, bands, config.window
    for i, (row, width, step) in enumerate(zip(table, widths, strides, strict=True), start=1):
        if isinstance(row, Plain):
            spatial, spectral = min(row.spatial_kernel, side), min(row.spectral_kernel, depth)
            stride = min(step, spectral)
            side, depth = side - spatial + 1, (depth - spectral) // stride + 1
            kernel, steps = (spectral, spatial, spatial), (stride, 1, 1)
            network.convolve(f"conv{i}", Conv3d(channels, width, kernel, steps))
        else:
            before, steps = network.last, (step, 1, 1)
            first = Conv3d(channels, width, (3, 1, 1), steps, padding=(1, 0, 0))
            network.convolve(f"conv{i}a", first)
            network.add(f"relu{i}a", nn.ReLU())
            branch = network.convolve(
                f"conv{i}b", Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))
            )
            if width != channels or step > 1:
                before = network.convolve(f"shortcut{i}", Conv3d(channels, width, 1, steps), before)
            network.add(f"add{i}", Sum([1.0, 1.0]), branch, before)
            depth = (depth - 1) // step + 1
        network.add(f"relu{i}", nn.ReLU())
        channels = width
    network.add("flatten", nn.Flatten())
    network.add("dropout", nn.Dropout(config.dropout))
    network.add("classifier", nn.Linear(channels * depth * side**2, outputs))
    if config.population:
        network.add("relu_population", nn.ReLU())
        network.add("population", PopulationMean(config.population))
    return GraphNetwork(network.layers, network.inputs)


def follows(name: str, convolution: nn.Module) -> bool:
    """Tell whether a convolution's filters follow from others, so that `widths` leaves it out.

    Args:
        name: Name of the convolution in its network.
        convolution: The convolution; a depthwise one follows the layer before it.

    >>> follows("layers.shortcut4", Conv3d(2, 4, 1)), follows("layers.conv4a", Conv3d(2, 4, 1))
    (True, False)
    """
    depthwise = getattr(convolution, "groups", 1) > 1
    return depthwise or re.fullmatch(r"layers\.(shortcut\d+|conv\d+b)", name) is not None


class _Layers:
    """Layers of a graph as they are added, each after the last one unless it names others."""

    def __init__(self, batch_norm: bool) -> None:
        self.batch_norm = batch_norm
        self.layers: dict[str, nn.Module] = {}
        self.inputs: dict[str, tuple[str, ...]] = {}
        self.last = ""

    def add(self, name: str, layer: nn.Module, *inputs: str) -> str:
        """Add a layer and return its name."""
        self.layers[name], self.last = layer, name
        if inputs:
            self.inputs[name] = inputs
        return name

    def convolve(self, name: str, convolution: Conv3d, *inputs: str) -> str:
        """Add a convolution and, where asked, its batch norm; return the name of the last."""
        self.add(name, convolution, *inputs)
        if not self.batch_norm:
            return name
        return self.add(f"norm_{name}", nn.BatchNorm3d(convolution.out_channels))
