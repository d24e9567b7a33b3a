"""Kinds of plain layers, as tuples for isinstance."""

from __future__ import annotations

from torch import nn

from snnquant.nn.wiring import Concatenate, Mean, Permute, Reshape, WeightedSum

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


AVERAGE_POOLS = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)


MAX_POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)


PADS = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)


AFFINE = (
    *(nn.Flatten, nn.Unflatten, nn.Identity, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(WeightedSum, Concatenate, Mean, Permute, Reshape, *AVERAGE_POOLS, *PADS),
)
