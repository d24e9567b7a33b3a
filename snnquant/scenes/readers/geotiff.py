"""GeoTIFF rasters, by rasterio (the extra `geo`)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.io import require_extra
from snnquant.scenes.readers.formats import register_reader

# Little and big endian, and the same for BigTIFF.
SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@register_reader("GeoTIFF", suffixes=(".tif", ".tiff"), signatures=SIGNATURES)
def read_geotiff(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an image as [rows, columns, bands]; see `read_array`."""
    rasterio, errors = require_extra("geo", "rasterio", "rasterio.errors")
    with warnings.catch_warnings():
        # Where the scene lies on Earth does not matter here.
        warnings.simplefilter("ignore", errors.NotGeoreferencedWarning)
        with rasterio.open(path, driver="GTiff") as image:
            array: NDArray[Any] = np.moveaxis(image.read(), 0, -1)
    return array
