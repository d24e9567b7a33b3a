"""The place of a scene on Earth, as GeoTIFF and ENVI files state it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Transform: TypeAlias = tuple[float, float, float, float, float, float]

_METRES_PER_DEGREE = 111_320.0
"""Along a meridian, and along the equator."""
_DATUMS = {"wgs-84": (326, 327), "wgs84": (326, 327), "north america 1983": (269, None)}
"""First digits of the EPSG numbers of UTM zones, north and south."""
_WGS84 = "EPSG:4326"
_WKT_WGS84 = re.compile(r'GEOGC(S|RS)\["WGS[ _]?(19)?84"')
_WGS84_UTM = re.compile(r"EPSG:32([67])(\d\d)")
_WKT_UTM = re.compile(r'"WGS[ _]?(?:19)?84[ _/]+UTM[ _]zone[ _](\d+)([NS])"', re.IGNORECASE)
_WKT_UNIT = re.compile(r'(?:LENGTH)?UNIT\["[^"]*",\s*([0-9.]+)')
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Georeference:
    """Coordinates of a scene's pixels.

    >>> field = Georeference(crs="EPSG:32632", transform=(30.0, 0.0, 5e5, 0.0, -30.0, 5.3e6))
    >>> field.at(row=0, column=1)
    (500030.0, 5300000.0)
    >>> field.metres_per_pixel()
    30.0
    """

    crs: str | None = None
    """Coordinate reference system as WKT or "EPSG:n", where known."""
    transform: Transform | None = None
    """(a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f at a pixel's upper
    left corner."""
    map_info: str | None = None
    """ENVI's `map info`, its text between the braces, where the source has one."""
    lookup: NDArray[np.int32] | None = None
    """[h, w, 2] row and column of the scene per pixel of the grid that `transform` places, -1
    where it has none; None where the scene itself lies on the grid."""

    def at(self, row: float, column: float) -> tuple[float, float]:
        """Return x and y of a pixel's upper left corner, in units of the reference system."""
        if self.transform is None:
            raise ValueError("no transform")
        a, b, c, d, e, f = self.transform
        return a * column + b * row + c, d * column + e * row + f

    def on_grid(self, class_map: NDArray[Any]) -> NDArray[Any]:
        """Return a map [H, W] of the scene on the grid that `transform` places, 0 outside."""
        if self.lookup is None:
            return class_map
        rows, columns = self.lookup[..., 0], self.lookup[..., 1]
        return np.where(rows >= 0, class_map[rows, columns], 0).astype(class_map.dtype)

    def metres_per_pixel(self) -> float | None:
        """Return the width of a pixel of the scene on the ground, where it can be told."""
        if self.transform is None or self.lookup is not None or self.crs is None:
            return None
        a, _, _, d, _, y = self.transform
        width = math.hypot(a, d)
        if self.crs == _WGS84 or self.crs.startswith(("GEOGC", "GEODC")):
            return width * _METRES_PER_DEGREE * math.cos(math.radians(y))
        if _WGS84_UTM.fullmatch(self.crs):
            return width
        # The last unit of a projected system is that of its axes; degrees come before.
        units = _WKT_UNIT.findall(self.crs)
        return width * float(units[-1]) if units and self.crs.startswith("PROJ") else None

    def envi_map_info(self) -> str | None:
        """Return the text of ENVI's `map info`, where the scene itself lies on the grid."""
        if self.map_info is not None or self.transform is None or self.lookup is not None:
            return self.map_info
        a, b, c, d, e, f = self.transform
        width, height = math.hypot(a, d), math.hypot(b, e)
        place = [1, 1, *(f"{number:.15g}" for number in (c, f, width, height))]
        kind: list[object] = ["Arbitrary"]
        system: list[object] = []
        zone = self._utm_zone()
        if zone is not None:
            kind, system = ["UTM"], [*zone, "WGS-84", "units=Meters"]
        elif self.crs is not None and (self.crs == _WGS84 or _WKT_WGS84.match(self.crs)):
            kind, system = ["Geographic Lat/Lon"], ["WGS-84", "units=Degrees"]
        turn = [] if b == d == 0 else [f"rotation={math.degrees(math.atan2(b, a)):.15g}"]
        return ", ".join(str(part) for part in (*kind, *place, *system, *turn))

    def _utm_zone(self) -> tuple[int, str] | None:
        """Return zone and hemisphere of a system of WGS 84's UTM."""
        by_number = _WGS84_UTM.fullmatch(self.crs or "")
        if by_number:
            return int(by_number[2]), "North" if by_number[1] == "6" else "South"
        by_name = _WKT_UTM.search(self.crs or "")
        if by_name:
            return int(by_name[1]), "North" if by_name[2].upper() == "N" else "South"
        return None

    def envi_fields(self) -> dict[str, object]:
        """Return the fields of an ENVI header that state the place, as spectral takes them."""
        info = self.envi_map_info()
        if info is None:
            return {}
        fields: dict[str, object] = {"map info": [part.strip() for part in info.split(",")]}
        if self.crs is not None and "[" in self.crs:
            fields["coordinate system string"] = f"{{{self.crs}}}"
        return fields

    def to_json(self) -> str:
        """Return all except the lookup table as text, for `from_json`."""
        return json.dumps([self.crs, self.transform, self.map_info])

    @classmethod
    def from_json(cls, text: str, lookup: NDArray[np.int32] | None = None) -> Georeference:
        """Return the place that `to_json` wrote."""
        crs, transform, map_info = json.loads(text)
        return cls(crs, None if transform is None else tuple(transform), map_info, lookup)

    @classmethod
    def from_envi(cls, map_info: str, crs: str | None) -> Georeference:
        """Return the place that an ENVI header states.

        Args:
            map_info: Text of `map info` between the braces.
            crs: `coordinate system string`, where the header has one; else UTM and longitude and
                latitude are told from `map_info`.

        >>> text = "UTM, 1, 1, 500000, 5300000, 30, 30, 32, North, WGS-84, units=Meters"
        >>> place = Georeference.from_envi(text, None)
        >>> place.crs, place.transform
        ('EPSG:32632', (30.0, 0.0, 500000.0, 0.0, -30.0, 5300000.0))
        """
        parts = [part.strip() for part in map_info.split(",")]
        try:
            column, row, x, y, width, height = (float(part) for part in parts[1:7])
        except ValueError:
            return cls(crs, None, map_info)
        turn = math.radians(_rotation(parts))
        a, b = width * math.cos(turn), width * math.sin(turn)
        d, e = height * math.sin(turn), -height * math.cos(turn)
        # ENVI counts the corners of pixels from 1.
        left = x - a * (column - 1) - b * (row - 1)
        top = y - d * (column - 1) - e * (row - 1)
        return cls(crs or _envi_crs(parts), (a, b, left, d, e, top), map_info)

    @classmethod
    def from_image(cls, image: Any) -> Georeference | None:
        """Return the place of an open rasterio data set; None where it has none."""
        a, b, c, d, e, f = (float(number) for number in image.transform[:6])
        transform = (a, b, c, d, e, f)
        if image.crs is None and transform == _IDENTITY:
            return None
        return cls(None if image.crs is None else image.crs.to_wkt(), transform)


def _rotation(parts: list[str]) -> float:
    """Return the angle in degrees, clockwise from north as ENVI counts it."""
    for part in parts:
        key, _, value = part.partition("=")
        if key.strip().lower() == "rotation":
            return float(value)
    return 0.0


def _envi_crs(parts: list[str]) -> str | None:
    kind = parts[0].lower()
    words = [part.lower() for part in parts[7:]]
    if kind.startswith("geographic") and "wgs-84" in words:
        return _WGS84
    north, south = next((_DATUMS[word] for word in words if word in _DATUMS), (None, None))
    if kind == "utm" and words and words[0].isdigit():
        first = south if "south" in words else north
        return None if first is None else f"EPSG:{first}{int(words[0]):02d}"
    return None
