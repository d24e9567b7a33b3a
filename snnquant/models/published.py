"""Networks of published papers, each a table of layers.

They were written from the papers' descriptions. Where a paper leaves padding or the order of values
open, the choice is that of the PyTorch versions most used, so that their state dicts fit; it is
named in the table. Batch norms (where asked), dropout and AdamW are this package's own.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import nn

from snnquant.config import ModelConfig
from snnquant.errors import InputError
from snnquant.nn.convolutions import Conv2d, Conv3d


class Convolution(NamedTuple):
    """A convolution with its activation; the length of `kernel`, 3 or 2, is its dimension."""

    name: str
    filters: int
    kernel: tuple[int, ...]
    stride: int = 1
    """Along the first dimension only, which is the spectrum."""
    padding: int = 0
    """Zeros on either side of the first dimension only."""
    activation: type[nn.Module] | None = nn.ReLU


class MaxPool(NamedTuple):
    """The maximum of every `size` bands; the last group may be smaller."""

    size: int


class Fold(NamedTuple):
    """Bands become channels: [N, C, B, h, w] to [N, C B, h, w]."""


class Stack(NamedTuple):
    """C feature vectors [N, C, B, h, w] become an image [N, 1, B h w, C], in memory's order."""


class Dense(NamedTuple):
    """A hidden dense layer."""

    name: str
    units: int
    activation: type[nn.Module] = nn.ReLU


Row = Convolution | MaxPool | Fold | Stack | Dense


def _hamida(bands: int) -> list[Row]:
    """List the layers for 5 x 5 pixels; what the paper calls pooling is a strided convolution."""
    return [
        Convolution("conv1", 20, (3, 3, 3)),
        Convolution("pool1", 20, (3, 1, 1), stride=2, padding=1, activation=None),
        Convolution("conv2", 35, (3, 3, 3), padding=1),
        Convolution("pool2", 35, (3, 1, 1), stride=2, padding=1, activation=None),
        Convolution("conv3", 35, (3, 1, 1), padding=1),
        Convolution("conv4", 35, (2, 1, 1), stride=2, padding=1),
    ]


def _luo(bands: int) -> list[Row]:
    """List the layers for a pixel and its 8 neighbours: feature vectors, then a 2-D CNN."""
    return [
        Convolution("conv1", 90, (24, 3, 3), stride=9),
        Stack(),
        Convolution("conv2", 64, (3, 3)),
        Dense("dense1", 1024),
    ]


def _hybridsn(bands: int) -> list[Row]:
    """List the layers for 25 x 25 pixels of 30 components: 3-D, then 2-D convolutions."""
    return [
        Convolution("conv1", 8, (7, 3, 3)),
        Convolution("conv2", 16, (5, 3, 3)),
        Convolution("conv3", 32, (3, 3, 3)),
        Fold(),
        Convolution("conv4", 64, (3, 3)),
        Dense("dense1", 256),
        Dense("dense2", 128),
    ]


def _li(bands: int) -> list[Row]:
    """List two convolutions of 7 and 3 bands padded by 1, the second with twice the filters."""
    return [
        Convolution("conv1", 2, (7, 3, 3), padding=1),
        Convolution("conv2", 4, (3, 3, 3), padding=1),
    ]


def _makantasis(bands: int) -> list[Row]:
    """List the 2-D baseline: principal components as channels, 3 and 9 times as many filters."""
    return [
        Fold(),
        Convolution("conv1", 3 * bands, (3, 3)),
        Convolution("conv2", 9 * bands, (3, 3)),
        Dense("dense1", 6 * bands),
    ]


def _hu(bands: int, activation: type[nn.Module] = nn.Tanh) -> list[Row]:
    """List the layers for one spectrum: kernels of a ninth of it (24 of 220 bands), pooled by 5."""
    kernel = max(1, bands // 9)
    return [
        Convolution("conv1", 20, (kernel, 1, 1), activation=activation),
        MaxPool(math.ceil(kernel / 5)),
        Dense("dense1", 100, activation),
    ]


def _hu_relu(bands: int) -> list[Row]:
    """List the same layers with ReLUs: spikes have no sign."""
    return _hu(bands, nn.ReLU)


class Architecture(NamedTuple):
    """A published network: rows by the number of bands, source, and why it is refused, or None."""

    rows: Callable[[int], list[Row]]
    paper: str
    refused: str | None = None


PUBLISHED: dict[str, Architecture] = {
    "hamida": Architecture(
        _hamida,
        "Ben Hamida, Benoit, Lambert, Ben Amar, 3-D Deep Learning Approach for Remote Sensing "
        "Image Classification, IEEE TGRS 56(8), 2018",
    ),
    "luo": Architecture(
        _luo,
        "Luo, Zou, Yao, Li, Bai, HSI-CNN: A Novel Convolution Neural Network for Hyperspectral "
        "Image, ICALIP 2018",
    ),
    "hybridsn": Architecture(
        _hybridsn,
        "Roy, Krishna, Dubey, Chaudhuri, HybridSN: Exploring 3-D-2-D CNN Feature Hierarchy for "
        "Hyperspectral Image Classification, IEEE GRSL 17(2), 2020, table I",
    ),
    "li": Architecture(
        _li,
        "Li, Zhang, Shen, Spectral-Spatial Classification of Hyperspectral Imagery with 3D "
        "Convolutional Neural Network, Remote Sensing 9(1):67, 2017",
    ),
    "makantasis": Architecture(
        _makantasis,
        "Makantasis, Karantzalos, Doulamis, Doulamis, Deep Supervised Learning for Hyperspectral "
        "Data Classification through Convolutional Neural Networks, IGARSS 2015",
    ),
    "hu": Architecture(
        _hu,
        "Hu, Huang, Wei, Zhang, Li, Deep Convolutional Neural Networks for Hyperspectral Image "
        "Classification, Journal of Sensors 2015:258619",
        "layer tanh_conv1 (Tanh) has negative values, which spikes have not: take hu_relu",
    ),
    "hu_relu": Architecture(_hu_relu, "Hu et al. 2015 with rectifiers for hyperbolic tangents"),
}


def require_convertible(config: ModelConfig) -> None:
    """Raise InputError, with what to take instead, where a network cannot become an SNN."""
    refused = PUBLISHED[config.name].refused if config.name in PUBLISHED else None
    if refused:
        raise InputError(f"--model {config.name}: {refused}")


def build_published(
    config: ModelConfig, bands: int, classes: int, *, batch_norm: bool
) -> nn.Sequential:
    """Build a network of PUBLISHED: patches [N, 1, bands, window, window] to logits [N, classes].

    `bands` are those that the network takes. A convolution named conv1 is followed by norm_conv1
    (batch norm, where asked) and relu_conv1. Dropout follows every hidden dense layer, or stands
    before the classifier where there is no such layer.

    Raises InputError where `widths` does not name every convolution, where the window or the
    spectrum is too small for a layer, and where a network of one pixel's spectrum gets more.
    """
    if config.name.startswith("hu") and config.window != 1:
        raise InputError(
            f"--window: found {config.window}, expected 1: model {config.name} takes one spectrum"
        )
    if config.strides is not None:
        raise InputError(
            f"--strides: found {len(config.strides)} numbers, expected none: those of "
            f"{config.name} are published"
        )
    rows = PUBLISHED[config.name].rows(bands)
    widths = iter(
        config.per_layer("widths", [row.filters for row in rows if isinstance(row, Convolution)])
    )
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    shape: tuple[int, ...] = (1, bands, config.window, config.window)
    for row in rows:
        if isinstance(row, Convolution):
            row = row._replace(filters=next(widths))
        for name, module in _modules(row, shape, config.dropout, batch_norm):
            modules[name] = module
        shape = _shape_after(row, shape)
        if min(shape) < 1:
            raise InputError(
                f"--model {config.name}: found {bands} bands and a window of {config.window}, "
                f"expected more: nothing is left for layer {next(iter(row))}"
            )
    if len(shape) > 1:
        modules["flatten"] = nn.Flatten()
        modules["dropout"] = nn.Dropout(config.dropout)
    modules["classifier"] = nn.Linear(math.prod(shape), classes)
    return nn.Sequential(modules)


def _modules(
    row: Row, shape: tuple[int, ...], dropout: float, batch_norm: bool
) -> Iterator[tuple[str, nn.Module]]:
    """Build the named modules of a row whose input has `shape`, without the batch."""
    if isinstance(row, Convolution):
        volume = len(row.kernel) == 3
        convolution: Callable[..., nn.Module] = Conv3d if volume else Conv2d
        rest = len(row.kernel) - 1
        stride, padding = (row.stride, *[1] * rest), (row.padding, *[0] * rest)
        yield row.name, convolution(shape[0], row.filters, row.kernel, stride, padding)
        if batch_norm:
            norm = nn.BatchNorm3d if volume else nn.BatchNorm2d
            yield f"norm_{row.name}", norm(row.filters)
        if row.activation:
            yield f"{row.activation.__name__.lower()}_{row.name}", row.activation()
    elif isinstance(row, MaxPool):
        yield "max_pool", nn.MaxPool3d((row.size, 1, 1), ceil_mode=True)
    elif isinstance(row, Fold):
        yield "fold", nn.Flatten(1, 2)
    elif isinstance(row, Stack):
        yield "line_up", nn.Flatten()
        yield "stack", nn.Unflatten(1, _shape_after(row, shape))
    else:
        if len(shape) > 1:
            yield "flatten", nn.Flatten()
        yield row.name, nn.Linear(math.prod(shape), row.units)
        yield f"{row.activation.__name__.lower()}_{row.name}", row.activation()
        yield f"dropout_{row.name}", nn.Dropout(dropout)


def _shape_after(row: Row, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a row's output for the shape of its input, both without the batch."""
    if isinstance(row, Convolution):
        first = (shape[1] + 2 * row.padding - row.kernel[0]) // row.stride + 1
        others = (size - kernel + 1 for size, kernel in zip(shape[2:], row.kernel[1:], strict=True))
        return (row.filters, first, *others)
    if isinstance(row, MaxPool):
        return (shape[0], math.ceil(shape[1] / row.size), *shape[2:])
    if isinstance(row, Fold):
        return (shape[0] * shape[1], *shape[2:])
    if isinstance(row, Stack):
        return (1, math.prod(shape[1:]), shape[0])
    return (row.units,)
