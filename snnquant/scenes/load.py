"""Scenes, and the masks published with them, by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.card import Card, DataFile
from snnquant.scenes.catalogue import load_card
from snnquant.scenes.locate import obtain_file
from snnquant.scenes.readers import read_array
from snnquant.scenes.scene import FixedMask, Scene


def load_scene(name: str) -> Scene:
    """Load a scene: a card's name, a path ending in ".toml", or "synthetic:HxWxB[:SEED]".

    Files with an address are downloaded on first use.

    Raises `InputError`, one line that names the card or file and what is wrong with it.
    """
    if name.startswith("synthetic:"):
        from snnquant.scenes.synthetic import synthetic_scene

        return synthetic_scene(name)
    card = load_card(name)
    cube_path, cube_digest = obtain_file(card, card.cube)
    labels_path, labels_digest = obtain_file(card, card.labels)
    cube = _read_cube(card, cube_path)
    raw = _read_labels(card.labels, labels_path)
    if raw.shape != cube.shape[:2]:
        raise InputError(
            f"{labels_path}: found {raw.shape[0]} x {raw.shape[1]} labels, expected "
            f"{cube.shape[0]} x {cube.shape[1]} as in {cube_path}"
        )
    labels = _number_classes(card, raw, labels_path)
    wavelengths = _wavelengths(card, cube.shape[2])
    try:
        return Scene(
            name=card.name,
            cube=cube,
            labels=labels,
            class_names=tuple(entry.name for entry in card.classes),
            colours=tuple(entry.colour for entry in card.classes),
            wavelengths_nm=wavelengths,
            digest=_scene_digest(card, cube_digest, labels_digest),
        )
    except InputError as error:
        # All but the pixel values was checked above, so it is the cube's file that is at fault.
        raise InputError(f"{cube_path}: {error}") from error


def load_labels(name: str) -> tuple[Card, NDArray[np.int64]]:
    """The card and the [H, W] labels (0 unlabelled, 1..K) of a scene, without its cube.

    Raises `InputError` as `load_scene` does.
    """
    card = load_card(name)
    path, _ = obtain_file(card, card.labels)
    return card, _number_classes(card, _read_labels(card.labels, path), path)


def load_mask(name: str) -> FixedMask:
    """The spatially disjoint mask that a scene's card names, cut to the scene, raw class numbers.

    Raises `InputError` where the card has no mask, or a file of it is missing or does not fit.
    """
    card = None if name.startswith("synthetic:") else load_card(name)
    if card is None or card.mask is None:
        raise InputError(f"scene {name}: found no fixed mask, expected a card with a [mask] table")
    labels_path, _ = obtain_file(card, card.labels)
    size = _read_labels(card.labels, labels_path).shape
    mask = card.mask
    return FixedMask(
        train=_mask_part(card, mask.train, mask.offset, size),
        test=None if mask.test is None else _mask_part(card, mask.test, mask.offset, size),
    )


def _mask_part(
    card: Card, entry: DataFile, offset: tuple[int, int] | None, size: tuple[int, ...]
) -> NDArray[np.int64]:
    path, _ = obtain_file(card, entry)
    whole = _read_labels(entry, path)
    row, column = offset or (0, 0)
    part = whole[row : row + size[0], column : column + size[1]]
    if part.shape != size or (offset is None and whole.shape != size):
        raise InputError(
            f"{path}: found {whole.shape[0]} x {whole.shape[1]} pixels, expected them to hold "
            f"the scene's {size[0]} x {size[1]} from row {row}, column {column} on"
        )
    if part.min() < 0:
        raise InputError(f"{path}: found {part.min()}, expected class numbers of 0 or more")
    return part.astype(np.int64)


def _read_cube(card: Card, path: Path) -> NDArray[np.float32]:
    raw = read_array(path, card.cube.variable)
    if raw.ndim != 3:
        raise InputError(f"{path}: found shape {raw.shape}, expected rows x columns x bands")
    if card.shape is not None and raw.shape != card.shape:
        raise InputError(f"{path}: found shape {raw.shape}, expected {card.shape} as the card says")
    with np.errstate(over="ignore"):  # becomes infinite, which the scene reports with its place
        return np.ascontiguousarray(raw, dtype=np.float32)


def _read_labels(entry: DataFile, path: Path) -> NDArray[Any]:
    """Raw class numbers [H, W]; whole numbers stored as floats pass, as MATLAB stores them so."""
    raw = read_array(path, entry.variable)
    if raw.ndim == 3 and raw.shape[2] == 1:  # an image of one band: ENVI, GeoTIFF
        raw = raw[:, :, 0]
    if raw.ndim != 2 or raw.size == 0:
        raise InputError(f"{path}: found shape {raw.shape}, expected rows x columns")
    if raw.dtype.kind == "f" and not (np.isfinite(raw) & (raw == np.trunc(raw))).all():
        raise InputError(f"{path}: found values that are not whole, expected class numbers")
    return raw


def _number_classes(card: Card, raw: NDArray[Any], path: Path) -> NDArray[np.int64]:
    """Raw class numbers to 1..K in the card's order."""
    labels = np.zeros(raw.shape, dtype=np.int64)
    for index, entry in enumerate(card.classes):
        labels[raw == entry.label] = index + 1
    strange = np.argwhere((raw != 0) & (labels == 0))
    if len(strange):
        row, column = strange[0].tolist()
        expected = ", ".join(str(value) for value in (0, *card.label_values))
        raise InputError(
            f"{path}: found the label {raw[row, column]} at row {row}, column {column} "
            f"({len(strange)} such pixels), expected one of {expected}"
        )
    absent = [e.name for i, e in enumerate(card.classes) if not (labels == i + 1).any()]
    if absent:
        raise InputError(
            f"{path}: found no pixel of {', '.join(absent)}, "
            f"expected one of every class of the card {card.path}"
        )
    return labels


def _wavelengths(card: Card, bands: int) -> NDArray[np.float64] | None:
    waves = card.wavelengths
    if waves is None:
        return None
    if waves.start_nm is not None and waves.stop_nm is not None:
        return np.linspace(waves.start_nm, waves.stop_nm, bands)
    if len(waves.values_nm) != bands:
        raise InputError(
            f"{card.path}: wavelengths.values_nm: found {len(waves.values_nm)} values, "
            f"expected one for each of the {bands} bands"
        )
    return np.array(waves.values_nm, dtype=np.float64)


def _scene_digest(card: Card, cube_digest: str, labels_digest: str) -> str:
    """Changes with whatever changes a pixel or a class; not with titles, colours or folders."""
    defining = {
        "name": card.name,
        "classes": [[entry.label, entry.name] for entry in card.classes],
        "cube": [cube_digest, card.cube.variable],
        "labels": [labels_digest, card.labels.variable],
    }
    return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()
