"""A network of windows in fully convolutional form, which shares work between windows.

Convolutions without padding and with stride 1 in space, and neurons that depend only on their own
position, give a position the same values in every window that holds it. So they can run once per
position of a tile instead of once per position of every window; flattening the last window and
multiplying it by a matrix becomes a convolution of that window's size.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from snnquant.nn.hooks import recording
from snnquant.quantization import freeze

Classifier: TypeAlias = Callable[[Tensor], Tensor]
"""Class numbers from 0, [h, w], of a normalised tile [1, 1, B, h + window - 1, w + window - 1]."""
TileLogits: TypeAlias = Callable[[Tensor], Tensor]
"""Logits [K, h, w] of such a tile."""

_TOLERANCE = 1e-9  # of the logits in float64, where rounding moves no spike
_PATCHES_AT_ONCE = 512


def tile_classifier(network: nn.Module, bands: int, window: int) -> tuple[Classifier, str]:
    """Return a classifier of tiles for a network of patches, and its method in words.

    It takes the class of the largest of the logits that `tile_logits` returns.
    """
    logits, how = tile_logits(network, bands, window)
    return lambda tile: logits(tile).argmax(0), how


def tile_logits(network: nn.Module, bands: int, window: int) -> tuple[TileLogits, str]:
    """Return the logits of tiles for a network of patches, and their method in words.

    It runs tile by tile where `dense_form` allows it, else patch by patch; on the network's device.
    """
    device = next(network.parameters()).device
    dense = dense_form(network, bands, window)
    if dense is None:
        by_patch = freeze(copy.deepcopy(network)).eval()
        return lambda tile: _patch_logits(by_patch, tile.to(device), window), "patch by patch"
    dense.to(device)
    how = "work shared between windows"
    return lambda tile: dense(tile.to(device).contiguous())[0], how


def _patch_logits(network: nn.Module, tile: Tensor, window: int) -> Tensor:
    windows = tile[0].unfold(2, window, 1).unfold(3, window, 1).permute(2, 3, 0, 1, 4, 5)
    height, width = windows.shape[:2]
    rows = max(1, _PATCHES_AT_ONCE // width)
    logits = [network(part.flatten(0, 1)) for part in torch.split(windows, rows)]
    return torch.cat(logits).view(height, width, -1).permute(2, 0, 1)


@torch.no_grad()
def dense_form(network: nn.Module, bands: int, window: int) -> nn.Module | None:
    """Return a copy for tiles: [N, 1, B, h, w] to logits [N, K, h - window + 1, w - window + 1].

    `network` maps patches [N, 1, B, window, window] to logits [N, K]; quantized weights are baked
    into the copy, which is on the CPU. Returns None if it does not compute the same on every window
    in a trial in float64: the network pads, strides or pools in space, or flattens by other means.
    """
    network = copy.deepcopy(network).cpu()
    shapes: dict[nn.Module, tuple[int, ...]] = {}
    flattened: tuple[int, ...] = ()

    def note(_: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flattened
        if isinstance(module, nn.Flatten) and output.ndim == 2:
            shapes[module] = flattened = tuple(inputs[0].shape[1:])
        elif isinstance(module, nn.AvgPool2d) and output.shape[-2:].numel() == 1:
            module.stride = 1  # a mean over the whole window, for every window of a tile
        elif isinstance(module, nn.Linear):
            shapes[module] = flattened
            flattened = (module.out_features, 1, 1)

    dense = freeze(copy.deepcopy(network)).eval()
    with recording(dict(dense.named_modules()), note):
        dense(torch.zeros(1, 1, bands, window, window))
    for parent in list(dense.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.Flatten) and module in shapes:
                setattr(parent, name, nn.Identity())
            elif isinstance(module, nn.Linear):
                shape = shapes.get(module, ())
                if len(shape) not in (3, 4) or math.prod(shape) != module.in_features:
                    return None
                setattr(parent, name, _WindowWide(module, shape))
    return dense if _agree(network, dense, bands, window) else None


class _WindowWide(nn.Module):
    """A linear layer over flattened values of `shape` as a convolution, to [N, K, h, w]."""

    def __init__(self, linear: nn.Linear, shape: tuple[int, ...]) -> None:
        super().__init__()
        kind: Any = nn.Conv2d if len(shape) == 3 else nn.Conv3d
        self.convolution = kind(shape[0], linear.out_features, shape[1:]).to(linear.weight)
        self.convolution.weight.copy_(linear.weight.view(-1, *shape))
        self.convolution.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's outputs for every window in x."""
        outputs: Tensor = self.convolution(x)
        return outputs.flatten(1, -3)


def _agree(network: nn.Module, dense: nn.Module, bands: int, window: int) -> bool:
    """Return whether both have the same logits on six neighbouring windows of noise, in float64."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, 1, bands, window + 1, window + 2)
    tile = torch.randn(shape, generator=generator, dtype=torch.float64)
    windows = tile[0].unfold(2, window, 1).unfold(3, window, 1).permute(2, 3, 0, 1, 4, 5)
    expected = freeze(copy.deepcopy(network)).double().eval()(windows.flatten(0, 1))
    try:
        found = copy.deepcopy(dense).double()(tile)
    except RuntimeError:  # shapes that no longer fit together
        return False
    if found.shape != (1, expected.shape[1], 2, 3):
        return False
    return torch.allclose(found[0].flatten(1).T, expected, rtol=_TOLERANCE, atol=_TOLERANCE)
