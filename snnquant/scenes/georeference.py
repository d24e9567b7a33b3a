"""The place of a scene on Earth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Georeference:
    """Coordinates of a scene's pixels.

    >>> field = Georeference(crs="EPSG:32632", transform=(30.0, 0.0, 5e5, 0.0, -30.0, 5.3e6))
    >>> field.at(row=0, column=1)
    (500030.0, 5300000.0)
    """

    crs: str | None = None
    """Coordinate reference system as WKT or "EPSG:n", where known."""
    transform: tuple[float, float, float, float, float, float] | None = None
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
