"""Hyperspectral scenes: cards, readers, downloads and a synthetic generator."""

from snnquant.scenes.load import load_mask, load_scene
from snnquant.scenes.readers import READERS, Reader, read_array, register_reader
from snnquant.scenes.scene import FixedMask, Scene
from snnquant.scenes.synthetic import synthetic_scene

__all__ = [
    "READERS",
    "FixedMask",
    "Reader",
    "Scene",
    "load_mask",
    "load_scene",
    "read_array",
    "register_reader",
    "synthetic_scene",
]
