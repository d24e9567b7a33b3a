"""GeoTIFF rasters, by rasterio (the extra `geo`)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.common import reading, refuse_variable


def read(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an image as [rows, columns, bands]; see `read_array`."""
    refuse_variable(path, variable, "a GeoTIFF file")
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ImportError as error:
        raise InputError(
            f"{path}: found a GeoTIFF file but no rasterio, expected it to be installed: "
            "pip install 'snnquant[geo]'"
        ) from error
    with reading(path, "GeoTIFF", RasterioError), warnings.catch_warnings():
        # Where the scene lies on Earth does not matter here.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, driver="GTiff") as image:
            array: NDArray[Any] = np.moveaxis(image.read(), 0, -1)
    return array
