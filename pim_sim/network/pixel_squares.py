"""A network on a part of a map, whose windows share the work of the pixels that they share."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pim_sim.errors import InputError
from pim_sim.network.demand import demands
from pim_sim.schema import shown
from pim_sim.workload import Layer, Workload

_SIDES = (64, 32, 16, 8, 4, 2, 1)


def map_part(workload: Workload, space_bits: int) -> tuple[Workload, int]:
    """Return a network on the largest square of pixels that fits a buffer, and its pixels.

    The last two axes of a convolution are those of the scene: in a map they have one output
    position per pixel, and a layer after them that reads a whole window becomes a convolution.

    Args:
        workload: network of one window per pixel.
        space_bits: bits of the buffer that keeps the inputs and outputs of a layer.

    Returns:
        The network on a square of pixels, and how many these are.

    Raises:
        InputError: a layer steps over pixels, or pads the window, so that windows share nothing; or
            the network has poolings or residual additions.

    >>> conv = Layer(name="conv", kind="conv2d", input_shape=(4, 5, 5), weight_shape=(8, 4, 3, 3),
    ...              stride=(1, 1), padding=(0, 0), weight_bits=6, input_bits=8, signed=True,
    ...              time_steps=1, input_density=1.0, repeats_input=True)
    >>> part, pixels = map_part(Workload(name="demo", layers=(conv,)), 2**19)
    >>> part.layers[0].output_shape, pixels
    ((8, 32, 32), 1024)
    """
    if workload.operations:
        name = workload.operations[0].name
        raise InputError(f"layer {shown(name)}: found an operation, expected only layers in a map")
    for side in _SIDES:
        part = _part(workload, side)
        if side == 1 or all(demand.kept_bits <= space_bits for demand in demands(part)):
            return part, side * side
    raise AssertionError  # the last side is always taken


def _part(workload: Workload, side: int) -> Workload:
    layers: list[Layer] = []
    spatial = (1, 1)
    for layer in workload.layers:
        layers.append(_shared(layer, side, spatial))
        axes = layer.output_shape[1:]
        spatial = axes[-2:] if len(axes) >= 2 else (1, 1)  # type: ignore[assignment]
    return replace(workload, layers=tuple(layers))


def _shared(layer: Layer, side: int, before: tuple[int, int]) -> Layer:
    """Return a layer with one position per pixel of a square."""
    if layer.kind == "linear":
        window = before if math.prod(before) > 1 else (1, 1)
        channels = layer.fan_in // math.prod(window)
        if channels * math.prod(window) != layer.fan_in:
            channels, window = layer.fan_in, (1, 1)
        shape = (channels, *(side + kernel - 1 for kernel in window))
        return replace(
            layer, kind="conv2d", input_shape=shape, stride=(1, 1), padding=(0, 0), dilation=(1, 1),
            weight_shape=(layer.filters, channels, *window), **_counted(layer, side * side),
        )  # fmt: skip
    if layer.kind == "conv1d":
        raise InputError(f"layer {shown(layer.name)}: found conv1d, expected an axis per direction")
    if any(step != 1 for step in layer.stride[-2:]) or any(layer.padding[-2:]):
        found = f"stride {layer.stride[-2:]}, padding {layer.padding[-2:]}"
        raise InputError(f"layer {shown(layer.name)}: found {found}, expected 1 and 0 in a map")
    kernels = zip(layer.weight_shape[-2:], layer.dilation[-2:], strict=True)
    spatial = tuple(side + dilation * (kernel - 1) for kernel, dilation in kernels)
    share = side * side / math.prod(layer.output_shape[-2:])
    shape = (*layer.input_shape[:-2], *spatial)
    return replace(layer, input_shape=shape, **_counted(layer, share))


def _counted(layer: Layer, share: float) -> dict[str, Any]:
    """Return the counted products of a layer, scaled to so many times its outputs."""
    counted = {"accumulates": layer.accumulates, "fetched": layer.fetched}
    return {name: None if count is None else count * share for name, count in counted.items()}
