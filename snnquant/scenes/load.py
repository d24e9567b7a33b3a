"""Scenes by name."""

from __future__ import annotations

import hashlib
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np

import snnquant
from snnquant.errors import InputError
from snnquant.scenes.scene import Scene


def load_scene(name: str) -> Scene:
    """Load the scene of that card."""
    card_path = Path(snnquant.__file__).parents[1] / "datasets" / f"{name}.toml"
    if not card_path.is_file():
        raise InputError(f"scene: found {name}, expected a known scene")
    card = tomllib.loads(card_path.read_text(encoding="utf-8"))
    arrays = []
    digest = hashlib.sha256()
    for role in ("cube", "labels"):
        entry = card[role]
        path = Path(str(metadata.distribution(entry["distribution"]).locate_file(entry["file"])))
        digest.update(path.read_bytes())
        arrays.append(np.load(path, allow_pickle=False))
    return Scene(
        name=name,
        cube=arrays[0].astype(np.float32),
        labels=arrays[1].astype(np.int64),
        class_names=tuple(entry["name"] for entry in card["classes"]),
        colours=tuple(entry["colour"] for entry in card["classes"]),
        wavelengths_nm=None,
        digest=digest.hexdigest(),
    )
