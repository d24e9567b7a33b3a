"""Polygons and points of labels: GeoJSON, GeoPackage and shapefiles, without further libraries."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.formats import damage_on_one_line, register_reader
from snnquant.scenes.readers.shapefile import read_shapefile

Geometry: TypeAlias = dict[str, Any]
"""As in GeoJSON: type and coordinates."""

SUFFIXES = (".geojson", ".json", ".gpkg", ".shp")
_SHAPEFILE_PARTS = (".dbf", ".prj", ".cpg", ".shx")
_ENVELOPE_BYTES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_WKB_NAMES = {1: "Point", 3: "Polygon", 4: "MultiPoint", 6: "MultiPolygon"}
_MAX_DEPTH = 3


@dataclass(frozen=True, eq=False)
class Layer:
    """Shapes with their attributes."""

    crs: str | None
    """WKT or "EPSG:n", where the file states it."""
    shapes: list[tuple[Geometry, dict[str, Any]]]


def read_layer(path: Path, name: str | None) -> Layer:
    """Read the shapes of a file.

    Args:
        path: A file of one of `SUFFIXES`.
        name: Name of the layer of a GeoPackage that has several.

    Raises:
        InputError: The file is damaged, or has no or several such layers; names it.
    """
    readers: dict[str, Callable[[Path], Layer]] = {
        ".gpkg": lambda path: _geopackage(path, name),
        ".shp": lambda path: Layer(*read_shapefile(path)),
    }
    with damage_on_one_line(path, "polygon"):
        return readers.get(path.suffix.lower(), _geojson)(path)


def polygon_files(path: Path) -> list[Path]:
    """Return a file, and those that belong to a shapefile."""
    if path.suffix.lower() != ".shp":
        return [path]
    beside = {other.name.lower(): other for other in sorted(path.parent.iterdir())}
    names = (f"{path.stem}{end}".lower() for end in _SHAPEFILE_PARTS)
    return [path, *(beside[name] for name in names if name in beside)]


@register_reader("Polygons", suffixes=SUFFIXES, files=polygon_files, named=True)
def read_polygons(path: Path, variable: str | None) -> NDArray[Any]:
    """Refuse to give an array: polygons become labels on the grid of a cube."""
    raise InputError("found polygons, expected an array; polygons are only for labels")


def _geojson(path: Path) -> Layer:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    features = content.get("features", [content])
    crs = content.get("crs", {}).get("properties", {}).get("name", "EPSG:4326")
    shapes = [(f["geometry"], f.get("properties") or {}) for f in features if f.get("geometry")]
    return Layer(crs, shapes)


def _geopackage(path: Path, name: str | None) -> Layer:
    # Read-only and immutable: no journal is written beside the file.
    address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as base:
        tables = dict(
            base.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchall()
        )
        if name is None and len(tables) == 1:
            name = next(iter(tables))
        if name is None or name not in tables:
            listed = ", ".join(tables) or "no layer"
            raise InputError(f'found {listed}, expected variable = "LAYER/ATTRIBUTE"')
        base.row_factory = sqlite3.Row
        column = tables[name]
        quoted = '"' + name.replace('"', '""') + '"'
        shapes = []
        for row in base.execute(f"SELECT * FROM {quoted}"):
            values = dict(row)
            blob = values.pop(column)
            if blob is not None:
                shapes.append((_from_geopackage(blob), values))
        return Layer(_geopackage_crs(base, name), shapes)


def _geopackage_crs(base: sqlite3.Connection, table: str) -> str | None:
    row = base.execute(
        "SELECT s.organization, s.organization_coordsys_id, s.definition "
        "FROM gpkg_geometry_columns g JOIN gpkg_spatial_ref_sys s ON g.srs_id = s.srs_id "
        "WHERE g.table_name = ?",
        (table,),
    ).fetchone()
    if row is None or row[1] in (0, -1):
        return None
    return f"EPSG:{row[1]}" if str(row[0]).upper() == "EPSG" else str(row[2])


def _from_geopackage(blob: bytes) -> Geometry:
    if blob[:2] != b"GP":
        raise ValueError("no geometry of a GeoPackage")
    envelope = _ENVELOPE_BYTES[blob[3] >> 1 & 7]
    geometry, _ = _from_wkb(blob, 8 + envelope, 0)
    return geometry


def _from_wkb(blob: bytes, at: int, depth: int) -> tuple[Geometry, int]:
    """Return a shape in well-known binary, and the place after it."""
    order = "<" if blob[at] == 1 else ">"
    (kind,) = struct.unpack_from(f"{order}I", blob, at + 1)
    at += 5
    # Height and measure are flags of the number, or thousands of it.
    extra = sum(bool(kind & flag) for flag in (0x80000000, 0x40000000))
    kind &= 0x0FFFFFFF
    extra += (0, 1, 1, 2)[kind // 1000 % 4]
    name = _WKB_NAMES.get(kind % 1000)
    if name is None or depth > _MAX_DEPTH:
        raise ValueError(f"a geometry of type {kind % 1000}, expected points or polygons")

    def points(at: int, count: int) -> tuple[list[tuple[float, ...]], int]:
        size = 2 + extra
        if count * size * 8 > len(blob) - at:
            raise ValueError("fewer points than it says")
        numbers = struct.unpack_from(f"{order}{count * size}d", blob, at)
        return [numbers[i : i + 2] for i in range(0, len(numbers), size)], at + count * size * 8

    def number(at: int) -> tuple[int, int]:
        return struct.unpack_from(f"{order}I", blob, at)[0], at + 4

    coordinates: list[Any] = []
    if name == "Point":
        (point,), at = points(at, 1)
        return {"type": name, "coordinates": point}, at
    count, at = number(at)
    for _ in range(count):
        if name == "Polygon":
            length, at = number(at)
            part, at = points(at, length)
        else:
            inner, at = _from_wkb(blob, at, depth + 1)
            part = inner["coordinates"]
        coordinates.append(part)
    return {"type": name, "coordinates": coordinates}, at
