"""Ground truth: raw class numbers of files, and their renumbering to 1..K."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.array_axes import as_image
from snnquant.scenes.card import Card
from snnquant.scenes.drawn_labels import Grid, are_polygons, by_name, rasterised
from snnquant.scenes.nodata import equals_nodata
from snnquant.scenes.pixels import remark
from snnquant.scenes.readers import read_array, read_header

ClassMap: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""Class numbers [H, W] of a map: 0 unlabelled, 1..K."""
GAP = -(2**62)
"""Number of pixels that a label file declares as without data; no class has it."""


def read_labels(card: Card, path: Path, grid: Grid | None = None) -> NDArray[np.int64]:
    """Return a scene's labels [H, W]: 0 unlabelled, k the k-th class of the card.

    Numbers that the card does not name are unlabelled, which is said. Polygons are drawn on `grid`,
    by default that of the card's cube.

    Raises `InputError` that names the file, for a class without a pixel.
    """
    rules = card.label_rules
    order = rules.order or card.cube_rules.order
    if are_polygons(path):
        raw: NDArray[Any] = rasterised(card, path, grid or Grid.of_card(card))
    else:
        raw = read_class_numbers(
            path, card.labels.variable, rules.nodata, card.shape, order, card.labels.axes
        )
        raw = by_name(raw, read_header(path, card.labels.variable).class_names, card)
    labels = np.zeros(raw.shape, dtype=np.int64)
    joined = {group[0]: group for group in rules.merge}
    for index, entry in enumerate(card.classes):
        for number in joined.get(entry.label, (entry.label,)):
            labels[raw == number] = index + 1
    known = (0, GAP, *rules.ignore_labels)
    others = raw[(labels == 0) & ~np.isin(raw, known)]
    numbers, counts = np.unique(others, return_counts=True)
    counted = np.bincount(labels.ravel(), minlength=len(card.classes) + 1)[1:]
    absent = [e.name for e, count in zip(card.classes, counted, strict=True) if count == 0]
    if absent:
        found = ", ".join(str(number) for number in np.unique(raw)[:20].tolist())
        raise InputError(
            f"{path}: found no pixel of {', '.join(absent)} (the file has {found}), "
            f"expected one of every class of the card {card.path}"
        )
    if len(numbers):
        pairs = zip(numbers.tolist()[:10], counts.tolist()[:10], strict=True)
        some = ", ".join(f"{number} ({count} pixels)" for number, count in pairs)
        more = ", ..." if len(numbers) > 10 else ""
        remark(f"{path}: left out the labels {some}{more}: no class of the card {card.path.name}")
    return labels


def read_class_numbers(
    path: Path,
    variable: str | None,
    nodata: float | None = None,
    shape: tuple[int, ...] | None = None,
    order: str | None = None,
    axes: str | None = None,
) -> NDArray[Any]:
    """Return raw class numbers [H, W]; whole floats are accepted, MATLAB's default type.

    Args:
        path: The file.
        variable: Name of the array, where its format has names.
        nodata: Number of pixels without a label, which become `GAP`; None takes the file's own.
        shape: Rows and columns of the scene, for labels in one row of pixels.
        order: Axis along which such pixels follow each other.
        axes: Order of the axes in the file, as for `read_array`.

    Raises:
        InputError: Names the file.
    """
    raw = read_array(path, variable, axes)
    if nodata is None:
        nodata = read_header(path, variable).nodata
    if order is not None and shape is not None and max(raw.shape) == raw.size:
        raw = as_image(raw.reshape(-1, 1), ("pixels", "bands"), shape[:2], order, str(path))
    if raw.ndim == 3 and raw.shape[2] == 1:  # an image of one band: ENVI, GeoTIFF
        raw = raw[:, :, 0]
    if raw.ndim != 2 or raw.size == 0:
        raise InputError(f"{path}: found labels of shape {raw.shape}, expected rows x columns")
    gaps = equals_nodata(raw, nodata)
    if raw.dtype.kind == "f":
        nan = np.isnan(raw)
        gaps = nan if gaps is None else gaps | nan
        if not (np.isfinite(raw) & (raw == np.trunc(raw)) | gaps).all():
            raise InputError(f"{path}: found labels that are not whole, expected class numbers")
    if gaps is None or not gaps.any():
        return raw
    return np.where(gaps, GAP, np.where(gaps, 0, raw).astype(np.int64))
