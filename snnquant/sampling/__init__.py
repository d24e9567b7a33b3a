"""Splits into training, validation and test pixels, their leakage, and patches of pixels."""

from snnquant.sampling.normalisation import Normalisation
from snnquant.sampling.patches import Patches
from snnquant.sampling.pixel_grid import PixelGrid
from snnquant.sampling.protocols import make_split, split_without_test
from snnquant.sampling.split import Split, coordinates_only_accuracy, nearest_labels

__all__ = [
    "Normalisation",
    "Patches",
    "PixelGrid",
    "Split",
    "coordinates_only_accuracy",
    "make_split",
    "nearest_labels",
    "split_without_test",
]
