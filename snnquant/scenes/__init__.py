"""Hyperspectral scenes: cards, readers, downloads and a synthetic generator."""

from snnquant.scenes.load import load_mask, load_scene
from snnquant.scenes.scene import FixedMask, Scene

__all__ = ["FixedMask", "Scene", "load_mask", "load_scene"]
