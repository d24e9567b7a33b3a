"""Training areas that were drawn on a cube: checked, put on its pixels, and written."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snnquant.errors import InputError
from snnquant.io import replacing, write_json
from snnquant.scenes import Scene
from snnquant.scenes.colours import default_colour

AREAS, CORNERS, CLASSES, LETTERS = 500, 5000, 100, 60
"""Limits of one drawing: areas, corners of all areas, classes, letters of a class's name."""
CUBE_BYTES = 2**32
"""Bytes of the largest cube that is written beside drawn labels."""
FOLDER = "drawn"
"""Folder of drawings in the folder of runs."""


@dataclass(frozen=True)
class Area:
    """A polygon of one class; its sides may cross, and then the even-odd rule holds."""

    name: str
    """Name of the class."""
    corners: tuple[tuple[float, float], ...]
    """Rows and columns in pixels from the cube's upper left corner."""


def read_areas(given: object, height: int, width: int) -> list[Area]:
    """Check the areas of a request.

    Args:
        given: Objects with the keys "class" and "corners".
        height: Rows of the cube.
        width: Columns of the cube.

    Returns:
        The areas; spellings of a class that differ only in case are that of the first.

    Raises:
        InputError: An area is malformed or outside of the cube, or a limit is exceeded.

    >>> read_areas([{"class": " Corn ", "corners": [[0, 0], [0, 2], [2, 0]]}], 4, 4)
    [Area(name='Corn', corners=((0.0, 0.0), (0.0, 2.0), (2.0, 0.0)))]
    """
    if not isinstance(given, list) or not 1 <= len(given) <= AREAS:
        raise InputError(f"areas: expected a list of 1 to {AREAS}")
    spellings: dict[str, str] = {}
    areas = []
    for number, entry in enumerate(given, 1):
        values = entry if isinstance(entry, dict) else {}
        name = _name(values.get("class"), f"area {number}")
        name = spellings.setdefault(name.casefold(), name)
        corners = _corners(values.get("corners"), f"area {number} ({name})", height, width)
        areas.append(Area(name, corners))
    for found, limit, what in (
        (sum(len(area.corners) for area in areas), CORNERS, "corners"),
        (len(spellings), CLASSES, "classes"),
    ):
        if found > limit:
            raise InputError(f"areas: found {found} {what}, expected at most {limit}")
    return areas


def _name(given: object, area: str) -> str:
    name = " ".join(given.split()) if isinstance(given, str) else ""
    if not 1 <= len(name) <= LETTERS or not name.isprintable():
        raise InputError(f"{area}: class: expected a name of 1 to {LETTERS} printable letters")
    return name


def _corners(given: object, area: str, height: int, width: int) -> tuple[tuple[float, float], ...]:
    if not isinstance(given, list) or len(given) < 3:
        raise InputError(f"{area}: expected three corners or more")
    corners = []
    for corner in given:
        pair: list[Any] = corner if isinstance(corner, list) and len(corner) == 2 else [None] * 2
        if not all(type(value) in (int, float) and math.isfinite(value) for value in pair):
            raise InputError(f"{area}: corner: expected a row and a column")
        row, column = map(float, pair)
        if not (0 <= row <= height and 0 <= column <= width):
            expected = f"within 0 to {height} and 0 to {width}"
            raise InputError(
                f"{area}: found the corner {row:g}, {column:g}, expected it {expected}"
            )
        corners.append((row, column))
    return tuple(corners)


def covered(area: Area, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels [H, W] whose centres lie in an area.

    >>> int(covered(Area("Corn", ((0, 0), (0, 3), (2, 3), (2, 0))), 3, 4).sum())
    6
    """
    inside = np.zeros((height, width), bool)
    rows = [row for row, _ in area.corners]
    start, stop = math.floor(min(rows)), math.ceil(max(rows))
    centres = np.arange(start, stop) + 0.5
    flips = np.zeros((stop - start, width + 1), np.int64)
    ends = (*area.corners[1:], area.corners[0])
    for (top, left), (bottom, right) in zip(area.corners, ends, strict=True):
        crossed = np.flatnonzero((centres >= min(top, bottom)) & (centres < max(top, bottom)))
        if crossed.size:
            share = (centres[crossed] - top) / (bottom - top)
            across = left + share * (right - left)
            first = np.ceil(across - 0.5).clip(0, width).astype(np.int64)
            np.add.at(flips, (crossed, first), 1)
    inside[start:stop] = flips.cumsum(axis=1)[:, :width] % 2 == 1
    return inside


def drawn_scene(scene: Scene, areas: list[Area]) -> Scene:
    """Return a scene with the drawn labels in place of its own; where areas overlap, the last.

    Raises:
        InputError: A class has no pixel, or the cube is too large to be written.
    """
    if scene.cube.nbytes > CUBE_BYTES:
        found = f"found {scene.cube.nbytes / 1e9:.1f} GB"
        raise InputError(f"cube: {found}, expected at most {CUBE_BYTES / 1e9:.1f} GB")
    names = tuple(dict.fromkeys(area.name for area in areas))
    labels = np.zeros((scene.height, scene.width), np.int64)
    for area in areas:
        labels[covered(area, scene.height, scene.width)] = names.index(area.name) + 1
    labels[~scene.valid] = 0
    counts = np.bincount(labels.ravel(), minlength=len(names) + 1)[1:]
    for name, count in zip(names, counts, strict=True):
        if not count:
            raise InputError(f"class {name}: found no pixel with data in its areas, expected some")
    defining = hashlib.sha256(json.dumps([scene.digest, names]).encode())
    defining.update(labels.tobytes())
    return replace(
        scene,
        name=f"{scene.name}-drawn",
        labels=labels,
        class_names=names,
        colours=tuple(default_colour(index) for index in range(len(names))),
        digest=defining.hexdigest(),
    )


def write_drawing(root: Path, scene: Scene, areas: list[Area]) -> Path:
    """Write a drawn scene, its labels as a picture and its areas as GeoJSON.

    The same drawing is written once.

    Args:
        root: Folder of runs.
        scene: Scene with the drawn labels.
        areas: The areas.

    Returns:
        The file of the scene, as `snnquant run --scene` takes it.

    Raises:
        InputError: A file cannot be written, or a link leads out of the folder of runs.
    """
    folder = root / FOLDER / f"{file_name(scene.name)}-{scene.digest[:12]}"
    if not folder.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{root / FOLDER}: found a link, expected a folder in {root}")
    picture = Image.fromarray(scene.labels.astype(np.uint8), "P")
    colours = ("#000000", *scene.colours)
    picture.putpalette([int(colour[k : k + 2], 16) for colour in colours for k in (1, 3, 5)])
    with replacing(folder / "labels.png") as temporary:
        picture.save(temporary, "PNG")
    write_json(folder / "areas.geojson", _geojson(scene, areas))
    file = folder / "scene.npz"
    if not file.exists():
        scene.save(file)
    return file


def file_name(name: str) -> str:
    """Return a name with only letters, digits, dots and dashes, and no dot in front.

    >>> file_name("../field 1.toml")
    'field-1.toml'
    """
    return re.sub(r"[^\w.]+", "-", name, flags=re.ASCII).strip(".-")[:80] or "cube"


def _geojson(scene: Scene, areas: list[Area]) -> dict[str, Any]:
    """Return the areas in the cube's reference system; in columns and rows where it has none."""
    geo = scene.geo
    placed = geo if geo is not None and geo.transform is not None and geo.lookup is None else None
    features = []
    for area in areas:
        ring = [
            placed.at(row, column) if placed else (column, row)
            for row, column in (*area.corners, area.corners[0])
        ]
        label = scene.class_names.index(area.name) + 1
        features.append(
            {
                "type": "Feature",
                "properties": {"class": area.name, "label": label},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        )
    content: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if placed and placed.crs:
        content["crs"] = {"type": "name", "properties": {"name": placed.crs}}
    return content
