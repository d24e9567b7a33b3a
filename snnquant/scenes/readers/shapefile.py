"""ESRI shapefiles: polygons and points (.shp), their attributes (.dbf) and system (.prj)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

Shape = tuple[dict[str, Any], dict[str, Any]]

_POINTS, _POLYGONS, _MULTIPOINTS = (1, 11, 21), (5, 15, 25), (8, 18, 28)


def read_shapefile(path: Path) -> tuple[str | None, list[Shape]]:
    """Return the reference system as WKT, where stated, and geometries with their attributes."""
    beside = {other.suffix.lower(): other for other in path.parent.glob(f"{path.stem}.*")}
    encoding = _text(beside.get(".cpg")) or "utf-8"
    table = beside.get(".dbf")
    records = iter(()) if table is None else _records(table.read_bytes(), encoding)
    shapes = []
    for geometry in _geometries(path.read_bytes()):
        values = next(records, {})
        if geometry is not None and values is not None:
            shapes.append((geometry, values))
    return _text(beside.get(".prj")) or None, shapes


def _text(path: Path | None) -> str:
    return "" if path is None else path.read_text(encoding="utf-8-sig", errors="replace").strip()


def _geometries(content: bytes) -> Iterator[dict[str, Any] | None]:
    if struct.unpack_from(">I", content)[0] != 9994:
        raise ValueError("no file code of a shapefile")
    at = 100
    while at + 8 <= len(content):
        (words,) = struct.unpack_from(">I", content, at + 4)
        at += 8
        if at + 2 * words > len(content):
            raise ValueError(f"a record of {2 * words} bytes past the end")
        yield _geometry(content[at : at + 2 * words])
        at += 2 * words


def _geometry(record: bytes) -> dict[str, Any] | None:
    (kind,) = struct.unpack_from("<I", record)
    if kind == 0:
        return None
    if kind in _POINTS:
        return {"type": "Point", "coordinates": struct.unpack_from("<2d", record, 4)}
    if kind in _MULTIPOINTS:
        (count,) = struct.unpack_from("<I", record, 36)
        return {"type": "MultiPoint", "coordinates": _points(record, 40, count)}
    if kind not in _POLYGONS:
        raise ValueError(f"shapes of type {kind}, expected points or polygons")
    rings, count = struct.unpack_from("<2I", record, 36)
    if 44 + 4 * rings > len(record):
        raise ValueError("fewer rings than it says")
    starts = [*struct.unpack_from(f"<{rings}I", record, 44), count]
    points = _points(record, 44 + 4 * rings, count)
    # Outer rings and holes are not told apart: rasterisation counts crossings.
    return {
        "type": "Polygon",
        "coordinates": [points[a:b] for a, b in pairwise(starts)],
    }


def _points(record: bytes, at: int, count: int) -> list[tuple[float, ...]]:
    if at + 16 * count > len(record):
        raise ValueError("fewer points than it says")
    numbers = struct.unpack_from(f"<{2 * count}d", record, at)
    return [numbers[i : i + 2] for i in range(0, len(numbers), 2)]


def _records(content: bytes, encoding: str) -> Iterator[dict[str, Any] | None]:
    """Yield the attributes of each shape, None for a deleted one (dBASE III)."""
    count, header, length = struct.unpack_from("<IHH", content, 4)
    fields, at = [], 32
    while at + 32 <= header and content[at] != 0x0D:
        name = content[at : at + 11].split(b"\0")[0].decode(encoding, "replace")
        fields.append((name, chr(content[at + 11]), content[at + 16]))
        at += 32
    for number in range(count):
        record = content[header + number * length : header + (number + 1) * length]
        if len(record) < length:
            raise ValueError("fewer records of attributes than it says")
        if record[:1] == b"*":
            yield None
            continue
        values, place = {}, 1
        for name, kind, size in fields:
            values[name] = _value(record[place : place + size].decode(encoding, "replace"), kind)
            place += size
        yield values


def _value(text: str, kind: str) -> str | float | None:
    text = text.strip("\0 ")
    if kind not in "NF":
        return text
    try:
        return float(text)
    except ValueError:  # empty, or stars for a number that did not fit
        return None
