"""Whole scenes: the class of every pixel, and the map as files."""

from snnquant.inference.maps import write_map
from snnquant.inference.scene_classes import classify_scene

__all__ = ["classify_scene", "write_map"]
