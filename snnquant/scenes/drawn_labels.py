"""Labels drawn as polygons or regions, on the grid of a cube and by the names of classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.io import require_extra
from snnquant.scenes.card import Card
from snnquant.scenes.cube_file import cube_header, open_cube
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.locate import obtain_file
from snnquant.scenes.pixels import remark
from snnquant.scenes.readers.formats import damage_on_one_line
from snnquant.scenes.readers.polygons import SUFFIXES, Geometry, Layer, read_layer


@dataclass(frozen=True, eq=False)
class Grid:
    """Pixels of a cube, and their place on Earth."""

    rows: int
    columns: int
    geo: Georeference | None

    @classmethod
    def of_card(cls, card: Card) -> Grid:
        """Return the grid of a card's cube."""
        path, _ = obtain_file(card, card.cube)
        rows, columns = open_cube(card, path).shape[:2]
        return cls(rows, columns, cube_header(card, path).geo)


def are_polygons(path: Path) -> bool:
    """Tell whether a file of labels holds polygons."""
    return path.name.lower().endswith(SUFFIXES)


def rasterised(card: Card, path: Path, grid: Grid) -> NDArray[np.int64]:
    """Return the class numbers [H, W] of pixels whose centres lie in polygons, 0 elsewhere.

    Of polygons that overlap, the last counts. The card's `variable` names the attribute with
    numbers or names of classes, after "LAYER/" in a GeoPackage of several layers.

    Raises:
        InputError: rasterio is missing; the cube has no place; the file has no such attribute, no
            polygon of a class, or damage. Names the file.
    """
    geo = grid.geo
    if geo is None or geo.transform is None:
        raise InputError(
            f"{path}: found polygons for a cube without a place on Earth, expected a cube with one"
        )
    layer_name, _, attribute = (card.labels.variable or "").rpartition("/")
    layer = read_layer(path, layer_name or None)
    key = _attribute(path, layer, attribute)
    numbers = {entry.name.casefold(): entry.label for entry in card.classes}
    shapes, unknown = [], set()
    for geometry, values in layer.shapes:
        number = _class_number(values.get(key), numbers)
        if number is None:
            unknown.add(str(values.get(key)))
        elif number != 0:
            shapes.append((geometry, number))
    if unknown:
        listed = _printable(", ".join(sorted(unknown)[:10]))
        remark(f"{path}: left out polygons of {listed}: no class of the card {card.path.name}")
    if not shapes:
        raise InputError(f"{path}: found no polygon whose {key} is a class of {card.path}")
    # On damaged coordinates the libraries raise exceptions of their own.
    with damage_on_one_line(path, "polygon"):
        return _on_pixels(_reprojected(path, shapes, layer.crs, geo.crs), grid, geo)


def by_name(numbers: NDArray[Any], names: tuple[str, ...] | None, card: Card) -> NDArray[Any]:
    """Return numbers 1, 2, 3 with names as those of the classes so called, if any is."""
    known = {entry.name.casefold(): entry.label for entry in card.classes}
    labels = [known.get(name.strip().casefold()) for name in names or ()]
    if not any(labels):
        return numbers
    # Regions of other names keep numbers that no class has, so that it is said.
    spare = max(known.values()) + 1
    table = [0, *(spare + k if label is None else label for k, label in enumerate(labels))]
    renumbered: NDArray[Any] = np.array(table)[numbers]
    return renumbered


def _attribute(path: Path, layer: Layer, name: str) -> str:
    held = list(dict.fromkeys(key for _, values in layer.shapes for key in values))
    if name in held:
        return name
    if not name and len(held) == 1:
        return held[0]
    listed = _printable(", ".join(held)) or "none"
    raise InputError(
        f"{path}: found the attributes {listed}, expected the card to name the one with the "
        "classes as variable"
    )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _class_number(value: object, numbers: dict[str, int]) -> int | None:
    """Return the number of a class by number or name; 0 for none, None if it is unknown."""
    if value is None or value == "":
        return 0
    named = numbers.get(str(value).strip().casefold())
    if named is not None:
        return named
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if number == int(number) and abs(number) < 2**31 else None


def _reprojected(
    path: Path,
    shapes: list[tuple[Geometry, int]],
    source: str | None,
    target: str | None,
) -> list[tuple[Geometry, int]]:
    crs, warp = require_extra("geo", "rasterio.crs", "rasterio.warp")
    if source is None or target is None:
        remark(f"{path}: found no reference system, taken as that of the cube")
        return shapes
    own, wanted = (crs.CRS.from_user_input(system) for system in (source, target))
    if own == wanted:
        return shapes
    return [(warp.transform_geom(own, wanted, shape), number) for shape, number in shapes]


def _on_pixels(
    shapes: list[tuple[Geometry, int]], grid: Grid, geo: Georeference
) -> NDArray[np.int64]:
    features, affine = require_extra("geo", "rasterio.features", "rasterio")
    size = (grid.rows, grid.columns) if geo.lookup is None else geo.lookup.shape[:2]
    place = affine.Affine(*(geo.transform or ()))
    drawn = features.rasterize(shapes, size, fill=0, transform=place, dtype="int32")
    if geo.lookup is None:
        return np.asarray(drawn, dtype=np.int64)
    labels = np.zeros((grid.rows, grid.columns), np.int64)
    known = (geo.lookup[..., 0] >= 0) & (drawn != 0)
    labels[tuple(geo.lookup[known].T)] = drawn[known]
    return labels
