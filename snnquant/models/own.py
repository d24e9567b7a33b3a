"""This package's own networks as tables of convolutions, and the builder of all networks."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from torch import nn

from snnquant.config import ModelConfig
from snnquant.errors import InputError
from snnquant.models.published import PUBLISHED, build_published
from snnquant.models.residual import RESIDUAL_TABLES, build_residual
from snnquant.nn.convolutions import Conv2d, Conv3d
from snnquant.nn.pooling import AvgPool2d
from snnquant.nn.wiring import PopulationMean


class Convolution(NamedTuple):
    """A row of a network's table; the spectral kernel is None where the bands are channels."""

    filters: int | None
    """Filters; None for a depthwise convolution, which has one per channel of its input."""
    spectral_kernel: int | None
    spectral_stride: int
    spatial_kernel: int


# Both start with a wide spectral kernel whose stride is about half of it: neighbouring bands are
# nearly equal, so this loses little and keeps the first layer, the only one that multiplies, small.
# The spatial kernels reduce the 5x5 window to one position in two layers; the layers after them
# work only along the spectrum, or on the folded bands.
ALL_BANDS = 2**31
"""Spectral kernel that shrinks to the whole spectrum, however many bands there are."""

OWN_TABLES: dict[str, tuple[Convolution, ...]] = {
    "cnn3d": (
        Convolution(16, 7, 4, 3),
        Convolution(32, 3, 2, 3),
        Convolution(64, 3, 2, 1),
        Convolution(64, 3, 2, 1),
    ),
    "cnn32h": (
        Convolution(8, 7, 4, 3),
        Convolution(16, 5, 3, 1),
        Convolution(128, None, 1, 3),
        Convolution(128, None, 1, 1),
    ),
    # The first kernel spans all bands and one position: the matrix of a normalisation, such as
    # within-class whitening, folds into it, and windows share all of its work in a map.
    "cnn1x1": (
        Convolution(64, ALL_BANDS, 1, 1),
        Convolution(128, None, 1, 1),
    ),
    "cnn1x1h": (
        Convolution(16, ALL_BANDS, 1, 1),
        Convolution(64, None, 1, 3),
        Convolution(128, None, 1, 3),
    ),
    # Wide layers after a small first one: few of their neurons need to spike.
    "cnn1x1w": (
        Convolution(16, ALL_BANDS, 1, 1),
        Convolution(128, None, 1, 3),
        Convolution(256, None, 1, 3),
    ),
    # Depthwise kernels sum within a channel, pointwise ones within a position: after the first
    # layer a position takes a tenth of the products of cnn3d.
    "separable3d": (
        Convolution(16, 7, 4, 3),
        Convolution(None, 3, 2, 3),
        Convolution(32, 1, 1, 1),
        Convolution(None, 3, 2, 1),
        Convolution(64, 1, 1, 1),
        Convolution(None, 3, 2, 1),
        Convolution(64, 1, 1, 1),
    ),
}
POOLED = ("cnn1x1",)
"""Networks that average the last values over the window, which hides where a pixel lies in it."""


def spans_all_bands(config: ModelConfig) -> bool:
    """Tell whether a network's first kernel spans all bands of one pixel.

    Args:
        config: The network; only its name is looked at.

    >>> spans_all_bands(ModelConfig(name="cnn1x1")), spans_all_bands(ModelConfig(name="cnn32h"))
    (True, False)
    """
    first = OWN_TABLES.get(config.name, (Convolution(None, None, 1, 1),))[0]
    return first.spectral_kernel == ALL_BANDS and first.spatial_kernel == 1


def build_model(
    config: ModelConfig, bands: int, classes: int, *, batch_norm: bool = False
) -> nn.Module:
    """Build the CNN that maps patches [N, 1, bands, window, window] to logits [N, classes].

    Modules are named conv1, norm1, relu1, ..., fold, flatten, dropout, classifier, and, with output
    neurons, relu_population, population. A kernel larger than the rest of the spectrum or the
    window shrinks to it. The network is an `nn.Sequential`, or a `GraphNetwork` where layers are
    added up.

    Args:
        config: Name of an own or a published network, its window (pixels), principal components,
            filters, dropout and output neurons per class.
        bands: Bands of the scene. Where the configuration has fewer principal components, the
            patches have these instead.
        classes: Number of classes.
        batch_norm: Add a batch norm after every convolution, for training;
            `snnquant.conversion.fold_batch_norm` merges it into the weights.

    Returns:
        The network with random weights, in training mode.

    Raises:
        InputError: Where `widths` or `strides` do not name every convolution, a stride is not
            possible, the window or the spectrum is too small for a layer, and for a network of the
            user's own.

    Example:
        >>> import torch
        >>> from snnquant.config import ModelConfig
        >>> from snnquant.models import build_model
        >>> cnn = build_model(ModelConfig(name="cnn3d"), bands=200, classes=16)
        >>> cnn(torch.zeros(4, 1, 200, 5, 5)).shape
        torch.Size([4, 16])
    """
    if config.is_own:
        raise InputError(
            f"--model: found {config.name}, which only convert takes, with its weights"
        )
    bands, outputs = config.inputs(bands), classes * max(1, config.population)
    if config.name in PUBLISHED:
        network: nn.Module = build_published(config, bands, outputs, batch_norm=batch_norm)
    elif config.name in RESIDUAL_TABLES:
        return build_residual(config, bands, outputs, batch_norm=batch_norm)
    else:
        network = _build_chain(config, bands, outputs, batch_norm=batch_norm)
    if config.population:
        network.add_module("relu_population", nn.ReLU())
        network.add_module("population", PopulationMean(config.population))
    return network


def _build_chain(
    config: ModelConfig, bands: int, outputs: int, *, batch_norm: bool
) -> nn.Sequential:
    """Build a network of `OWN_TABLES`."""
    table = OWN_TABLES[config.name]
    defaults = [row.filters for row in table if row.filters is not None]
    widths = iter(config.per_layer("widths", defaults))
    strides = config.per_layer("strides", [row.spectral_stride for row in table])
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels, depth, side = 1, bands, config.window
    for i, (row, step) in enumerate(zip(table, strides, strict=True), start=1):
        width, groups = (channels, channels) if row.filters is None else (next(widths), 1)
        spatial = min(row.spatial_kernel, side)
        side -= spatial - 1
        if step > 1 and row.spectral_kernel in (None, ALL_BANDS):
            raise InputError(
                f"--strides: found {step} for conv{i} of {config.name}, which sees all bands, "
                "expected 1"
            )
        if row.spectral_kernel is not None:
            spectral = min(row.spectral_kernel, depth)
            stride = min(step, spectral)
            depth = (depth - spectral) // stride + 1
            kernel, steps = (spectral, spatial, spatial), (stride, 1, 1)
            modules[f"conv{i}"] = Conv3d(channels, width, kernel, steps, groups=groups)
            norm: nn.Module = nn.BatchNorm3d(width)
        else:
            if depth:
                modules["fold"] = nn.Flatten(1, 2)
                channels, depth = channels * depth, 0
            modules[f"conv{i}"] = Conv2d(channels, width, spatial)
            norm = nn.BatchNorm2d(width)
        if batch_norm:
            modules[f"norm{i}"] = norm
        modules[f"relu{i}"] = nn.ReLU()
        channels = width
    if config.name in POOLED:
        modules["mean"], side = AvgPool2d(side), 1
    modules["flatten"] = nn.Flatten()
    modules["dropout"] = nn.Dropout(config.dropout)
    modules["classifier"] = nn.Linear(channels * max(depth, 1) * side**2, outputs)
    return nn.Sequential(modules)
