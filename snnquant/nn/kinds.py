"""Kinds of plain layers, as tuples for isinstance; those of one to three axes in that order."""

from __future__ import annotations

from torch import nn

from snnquant.nn.wiring import Concatenate, Mean, Permute, Reshape, Sum, WeightedSum

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
SYNAPSES = (*CONVOLUTIONS, nn.Linear)
"""Layers with weights."""
SYNAPSE_NAMES: dict[type[nn.Module], str] = {
    nn.Conv1d: "conv1d",
    nn.Conv2d: "conv2d",
    nn.Conv3d: "conv3d",
    nn.Linear: "linear",
}
"""The kinds of layers with weights as layer tables and workloads name them."""
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
ACTIVATIONS = (nn.ReLU, nn.Hardtanh)  # ReLU6 is a Hardtanh
"""Activations that may become spikes."""
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)

SLIDING_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE_AVERAGES = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
AVERAGE_POOLS = (*SLIDING_AVERAGES, *ADAPTIVE_AVERAGES)
SLIDING_MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
ADAPTIVE_MAXIMA = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
MAX_POOLS = (*SLIDING_MAXIMA, *ADAPTIVE_MAXIMA)
PADS = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)
UPSAMPLES = (nn.Upsample, nn.UpsamplingNearest2d)
"""Upsampling, which is linear; only that by repetition turns spikes into spikes."""
SUMS = (Sum, WeightedSum)
SHAPES = (nn.Flatten, nn.Unflatten, Permute, Reshape)
"""Layers that only reorder the values of a sample."""

AFFINE = (
    *(*SYNAPSES, *SUMS, *SHAPES, *AVERAGE_POOLS, *PADS, *UPSAMPLES),
    *(nn.Identity, Concatenate, Mean),
)
"""Layers whose mean output is the output of their mean input."""
SPIKES_STAY = (
    *(*DROPOUTS, *MAX_POOLS, *PADS, *SHAPES, *UPSAMPLES),
    *(nn.Identity, Concatenate),
)
"""Layers that turn spikes into spikes; all others turn them into values."""
