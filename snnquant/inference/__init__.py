"""Whole scenes: the class of every pixel, tile by tile, and confidence in it."""

from snnquant.inference.cube import Cube
from snnquant.inference.dense import (
    Classifier,
    TileLogits,
    dense_form,
    tile_classifier,
    tile_logits,
)
from snnquant.inference.early_exit import Exits, exits, logits_by_step, margins
from snnquant.inference.edges import Edges
from snnquant.inference.scene_maps import TileMaps, map_fields
from snnquant.inference.smoothing import Judged, Readout, Strength, choose_smoothing, smooth
from snnquant.inference.spectral_distance import SpectralDistance
from snnquant.inference.tiles import (
    TileClasses,
    TileMethod,
    class_type,
    classify_scene,
    fill_map,
    scene_logits,
    scene_probabilities,
    unfinished_map,
)

__all__ = [
    "Classifier",
    "Cube",
    "Edges",
    "Exits",
    "Judged",
    "Readout",
    "SpectralDistance",
    "Strength",
    "TileClasses",
    "TileLogits",
    "TileMaps",
    "TileMethod",
    "choose_smoothing",
    "class_type",
    "classify_scene",
    "dense_form",
    "exits",
    "fill_map",
    "logits_by_step",
    "map_fields",
    "margins",
    "scene_logits",
    "scene_probabilities",
    "smooth",
    "tile_classifier",
    "tile_logits",
    "unfinished_map",
]
