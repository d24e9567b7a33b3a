"""Ground truth: raw class numbers of files, and their renumbering to 1..K."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.card import Card
from snnquant.scenes.readers import read_array

ClassMap: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""Class numbers [H, W] of a map: 0 unlabelled, 1..K."""


def read_labels(card: Card, path: Path) -> NDArray[np.int64]:
    """Return a scene's labels [H, W]: 0 unlabelled, k the k-th class of the card.

    Raises `InputError` that names the file, for a number missing from the card (with its first
    place) and for a class without a pixel.
    """
    raw = read_class_numbers(path, card.labels.variable, card.labels.axes)
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
    counts = np.bincount(labels.ravel(), minlength=len(card.classes) + 1)[1:]
    absent = [e.name for e, count in zip(card.classes, counts, strict=True) if count == 0]
    if absent:
        raise InputError(
            f"{path}: found no pixel of {', '.join(absent)}, "
            f"expected one of every class of the card {card.path}"
        )
    return labels


def read_class_numbers(path: Path, variable: str | None, axes: str | None = None) -> NDArray[Any]:
    """Return raw class numbers [H, W]; whole floats are accepted, MATLAB's default type.

    Raises `InputError` that names the file.
    """
    raw = read_array(path, variable, axes)
    if raw.ndim == 3 and raw.shape[2] == 1:  # an image of one band: ENVI, GeoTIFF
        raw = raw[:, :, 0]
    if raw.ndim != 2 or raw.size == 0:
        raise InputError(f"{path}: found labels of shape {raw.shape}, expected rows x columns")
    if raw.dtype.kind == "f" and not (np.isfinite(raw) & (raw == np.trunc(raw))).all():
        raise InputError(f"{path}: found labels that are not whole, expected class numbers")
    return raw
