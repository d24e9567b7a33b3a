"""GeoTIFF rasters, by rasterio (the extra `geo`)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.io import require_extra
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.readers.formats import register_reader
from snnquant.scenes.readers.header import CubeHeader

# Little and big endian, and the same for BigTIFF.
SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_geotiff_header(path: Path, variable: str | None) -> CubeHeader:
    """Return no-data value, scale and wavelengths of an image."""
    with _opened(path) as image:
        nodata = next((value for value in image.nodatavals if value is not None), None)
        return CubeHeader(
            wavelengths_nm=_wavelengths(image),
            nodata=None if nodata is None else float(nodata),
            scale_factor=_scale_factor(image),
            geo=Georeference.from_image(image),
        )


@register_reader(
    "GeoTIFF", suffixes=(".tif", ".tiff"), signatures=SIGNATURES, header=read_geotiff_header
)
def read_geotiff(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an image as [rows, columns, bands]; see `read_array`."""
    with _opened(path) as image:
        array: NDArray[Any] = np.moveaxis(image.read(), 0, -1)
    return array


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    rasterio, errors = require_extra("geo", "rasterio", "rasterio.errors")
    with warnings.catch_warnings():
        # An image without a place on Earth is a scene all the same.
        warnings.simplefilter("ignore", errors.NotGeoreferencedWarning)
        with rasterio.open(path, driver="GTiff") as image:
            yield image


def _scale_factor(image: Any) -> float | None:
    """Return the divisor that equals GDAL's scale, where all bands share one and have no offset."""
    scales, offsets = set(image.scales), set(image.offsets)
    if offsets != {0.0} or len(scales) != 1:
        return None
    scale = float(scales.pop())
    # Scales such as 1e-4 have no exact double: their inverse is a whole number.
    return None if scale in (0.0, 1.0) or scale < 0 else round(1 / scale, 9)


def _wavelengths(image: Any) -> tuple[float, ...] | None:
    """Return centres in nanometres from the bands' tags, as GDAL writes them."""
    centres = []
    for band in range(1, image.count + 1):
        tags = {key.lower(): value for key, value in image.tags(band).items()}
        imagery = {key.lower(): value for key, value in image.tags(band, ns="IMAGERY").items()}
        try:
            if "central_wavelength_um" in imagery:
                centres.append(1e3 * float(imagery["central_wavelength_um"]))
            else:
                centre = float(tags["wavelength"])
                unit = tags.get("wavelength_units", "").lower()
                in_micrometres = unit.startswith(("micro", "um", "µ")) or (
                    not unit and centre < 100
                )
                centres.append(1e3 * centre if in_micrometres else centre)
        except (KeyError, ValueError):
            return None
    return tuple(centres) if all(0 < centre < 1e9 for centre in centres) else None
