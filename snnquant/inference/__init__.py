"""Whole scenes: the class of every pixel, tile by tile."""

from snnquant.inference.cube import Cube
from snnquant.inference.dense import Classifier, dense_form, tile_classifier, tile_logits
from snnquant.inference.early_exit import Exits, exits, logits_by_step, margins
from snnquant.inference.tiles import classify_scene, scene_probabilities, unfinished_map

__all__ = [
    "Classifier",
    "Cube",
    "Exits",
    "classify_scene",
    "dense_form",
    "exits",
    "logits_by_step",
    "margins",
    "scene_probabilities",
    "tile_classifier",
    "tile_logits",
    "unfinished_map",
]
