"""Polygons with an attribute, written in each format byte by byte, for tests."""

import json
import sqlite3
import struct
from pathlib import Path

SQUARE = [(0, 0), (0, -60), (60, -60), (60, 0), (0, 0)]
HOLE = [(15, -15), (45, -15), (45, -45), (15, -45), (15, -15)]


def moved(ring, x: float, y: float):
    return [(x + a, y + b) for a, b in ring]


def geojson(path: Path, shapes, crs: str | None) -> None:
    features = [
        {
            "type": "Feature",
            "properties": {"class": value, "note": "x"},
            "geometry": {"type": "Polygon", "coordinates": rings},
        }
        for rings, value in shapes
    ]
    content = {"type": "FeatureCollection", "features": features}
    if crs:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    path.write_text(json.dumps(content))


def wkb(rings) -> bytes:
    parts = [struct.pack("<BII", 1, 3, len(rings))]
    for ring in rings:
        parts += [struct.pack("<I", len(ring)), *(struct.pack("<2d", *point) for point in ring)]
    return b"".join(parts)


def multi_wkb_z(rings) -> bytes:
    """Write a MultiPolygon with heights, big endian, as some programs do."""
    parts = [struct.pack(">BIIBII", 0, 1006, 1, 0, 1003, len(rings))]
    for ring in rings:
        parts += [struct.pack(">I", len(ring))]
        parts += [struct.pack(">3d", *point, 7.0) for point in ring]
    return b"".join(parts)


def geopackage(path: Path, shapes, epsg: int, encode=wkb, layers=("fields",)) -> None:
    with sqlite3.connect(path) as base:
        base.executescript(
            "CREATE TABLE gpkg_geometry_columns (table_name, column_name, srs_id);"
            "CREATE TABLE gpkg_spatial_ref_sys (srs_id, organization, organization_coordsys_id,"
            " definition);"
        )
        base.execute("INSERT INTO gpkg_spatial_ref_sys VALUES (7, 'EPSG', ?, '')", (epsg,))
        for layer in layers:
            base.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 7)", (layer,))
            base.execute(f'CREATE TABLE "{layer}" (geom BLOB, class, note)')
            for rings, value in shapes:
                box = struct.pack("<4d", 0, 1, 0, 1)
                blob = b"GP\0\x03" + struct.pack("<i", 7) + box + encode(rings)
                base.execute(f"INSERT INTO \"{layer}\" VALUES (?, ?, 'x')", (blob, value))
    base.close()


def shapefile(path: Path, shapes, wkt: str | None) -> None:
    records = []
    for number, (rings, _) in enumerate(shapes, start=1):
        points = [point for ring in rings for point in ring]
        starts, at = [], 0
        for ring in rings:
            starts.append(at)
            at += len(ring)
        body = struct.pack("<I4d2I", 5, 0, 0, 1, 1, len(rings), len(points))
        body += struct.pack(f"<{len(starts)}I", *starts)
        body += b"".join(struct.pack("<2d", *point) for point in points)
        records.append(struct.pack(">2I", number, len(body) // 2) + body)
    content = b"".join(records)
    header = struct.pack(">I20xI", 9994, (100 + len(content)) // 2) + struct.pack("<2I64x", 1000, 5)
    path.write_bytes(header + content)
    fields = b"class".ljust(11, b"\0") + b"C" + bytes(4) + bytes([12, 0]) + bytes(14)
    table = struct.pack("<4BIHH20x", 3, 126, 1, 1, len(shapes), 32 + 32 + 1, 13) + fields + b"\r"
    rows = [b" " + str(value).encode().ljust(12) for _, value in shapes]
    path.with_suffix(".dbf").write_bytes(table + b"".join(rows) + b"\x1a")
    if wkt:
        path.with_suffix(".prj").write_text(wkt)
