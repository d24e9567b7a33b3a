"""Products of imaging spectrometers in HDF5 and netCDF files, known by their groups."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.readers.header import CubeHeader

_PRISMA = "HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/"
_PRISMA_PIXEL = 30.0
_PRISMA_MAX = 65535
_TANAGER = [
    f"HDFEOS/{kind}/HYP/Data Fields/{name}"
    for kind in ("SWATHS", "GRIDS")
    for name in ("surface_reflectance", "toa_radiance")
]
_FILL = -9999.0
_MAX_RATIO = 10_000
"""Above the best compression of any filter on real data."""
_ALWAYS_READ = 1 << 26
"""Bytes that are read without that check: arrays of one value take no storage."""


@dataclass(frozen=True)
class Product:
    """A layout of groups."""

    name: str
    cube: Callable[[Any], Any | None]
    """Returns the dataset of a file that has the layout, else None."""
    read: Callable[[Any], NDArray[Any]]
    """Returns [rows, columns, bands]."""
    header: Callable[[Any], CubeHeader]


def product_of(file: Any, variable: str | None) -> Product | None:
    """Return the product that a file is, if `variable` is None or the product's own cube."""
    for product in PRODUCTS:
        cube = product.cube(file)
        if cube is not None and variable in (None, cube.name, cube.name[1:]):
            return product
    return None


def values(dataset: Any) -> NDArray[Any]:
    """Read a dataset; raise `InputError` where the file holds too few bytes for its size.

    The library fills what is missing, so that a damaged size would take all memory.
    """
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > _MAX_RATIO * stored + _ALWAYS_READ:
        raise InputError(
            f"{dataset.file.filename}: found {stored} bytes of {dataset.name[1:]}, expected those "
            f"of {dataset.shape} values"
        )
    array: NDArray[Any] = dataset[()]
    return array


def _dataset(file: Any, *paths: str) -> Any | None:
    return next((file[path] for path in paths if path in file and file[path].ndim == 3), None)


def _numbers(array: Any) -> tuple[float, ...] | None:
    return None if array is None else tuple(float(value) for value in np.ravel(array))


def _flags(array: Any) -> tuple[bool, ...] | None:
    return None if array is None else tuple(bool(value) for value in np.ravel(array))


def _optional(group: Any, name: str) -> Any | None:
    return group[name][()] if name in group else None


def _fill(cube: Any) -> float:
    return float(np.ravel(cube.attrs.get("_FillValue", _FILL))[0])


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _from_gdal(numbers: Any) -> tuple[float, float, float, float, float, float]:
    """Return a transform out of GDAL's order (x0, dx, rx, y0, ry, dy)."""
    x, dx, rx, y, ry, dy = (float(number) for number in numbers)
    return dx, rx, x, ry, dy, y


# EMIT L2A: reflectance [downtrack, crosstrack, bands] in the sensor's geometry, and a lookup table
# (location/glt_x, glt_y: column and row from 1, 0 for none) on a grid of longitude and latitude.


def _emit(file: Any) -> Any | None:
    return _dataset(file, "reflectance") if "sensor_band_parameters/wavelengths" in file else None


def _read_emit(file: Any) -> NDArray[Any]:
    return values(file["reflectance"])


def _emit_header(file: Any) -> CubeHeader:
    bands = file["sensor_band_parameters"]
    return CubeHeader(
        wavelengths_nm=_numbers(bands["wavelengths"][()]),
        fwhm_nm=_numbers(_optional(bands, "fwhm")),
        good_bands=_flags(_optional(bands, "good_wavelengths")),
        nodata=_fill(file["reflectance"]),
        geo=_emit_place(file),
    )


def _emit_place(file: Any) -> Georeference | None:
    if "geotransform" not in file.attrs or not {"glt_x", "glt_y"} <= set(file.get("location", ())):
        return None
    location = file["location"]
    # The last row and column are 1 too far where an edge was rounded up.
    rows, columns = (values(location[name]).astype(np.int32) - 1 for name in ("glt_y", "glt_x"))
    height, width = file["reflectance"].shape[:2]
    known = (rows >= 0) & (columns >= 0) & (rows < height) & (columns < width)
    lookup = np.where(known[..., None], np.stack([rows, columns], axis=-1), -1)
    return Georeference(
        crs=_text(file.attrs.get("spatial_ref", "EPSG:4326")),
        transform=_from_gdal(file.attrs["geotransform"]),
        lookup=lookup,
    )


# PRISMA L2D: two cubes [rows, bands, columns] of 16-bit numbers between a minimum and a maximum
# that attributes give; bands mostly from long to short waves, absent ones with the centre 0.


def _prisma(file: Any) -> Any | None:
    both = f"{_PRISMA}SWIR_Cube" in file and "List_Cw_Vnir" in file.attrs
    return _dataset(file, f"{_PRISMA}VNIR_Cube") if both else None


def _prisma_bands(file: Any) -> list[tuple[float, float, str, int]]:
    """Return centre, width, detector and index of the bands to use, from short to long waves."""
    parts: dict[str, list[tuple[float, float, str, int]]] = {}
    for part in ("Vnir", "Swir"):
        centres = np.ravel(file.attrs[f"List_Cw_{part}"])
        widths = np.ravel(file.attrs.get(f"List_Fwhm_{part}", np.zeros(len(centres))))
        flags = np.ravel(file.attrs.get(f"List_Cw_{part}_Flags", np.ones(len(centres))))
        parts[part] = [
            (float(centre), float(width), part, index)
            for index, (centre, width, flag) in enumerate(zip(centres, widths, flags, strict=True))
            if centre > 0 and flag
        ]
    # Where the detectors overlap, the end of the first is the noisier.
    first = min((band[0] for band in parts["Swir"]), default=np.inf)
    return sorted([band for band in parts["Vnir"] if band[0] < first] + parts["Swir"])


def _read_prisma(file: Any) -> NDArray[Any]:
    raw = {part: values(file[f"{_PRISMA}{part.upper()}_Cube"]) for part in ("Vnir", "Swir")}
    bands = _prisma_bands(file)
    rows, _, columns = raw["Vnir"].shape
    cube = np.empty((rows, columns, len(bands)), np.float32)
    outside = np.ones((rows, columns), bool)
    for at, (_, _, part, index) in enumerate(bands):
        low, high = (float(file.attrs[f"L2Scale{part}{end}"]) for end in ("Min", "Max"))
        numbers = raw[part][:, index]
        outside &= numbers == 0
        cube[:, :, at] = low + numbers * np.float32((high - low) / _PRISMA_MAX)
    cube[outside] = np.nan  # beside the swath
    return cube


def _prisma_header(file: Any) -> CubeHeader:
    bands = _prisma_bands(file)
    widths = tuple(band[1] for band in bands)
    return CubeHeader(
        wavelengths_nm=tuple(band[0] for band in bands),
        fwhm_nm=widths if all(widths) else None,
        geo=_prisma_place(file),
    )


def _prisma_place(file: Any) -> Georeference | None:
    names = [f"Product_{corner}corner_" for corner in ("UL", "LR")]
    if "Epsg_Code" not in file.attrs or f"{names[0]}easting" not in file.attrs:
        return None
    left, right = (float(file.attrs[f"{name}easting"]) for name in names)
    top, bottom = (float(file.attrs[f"{name}northing"]) for name in names)
    rows, _, columns = file[f"{_PRISMA}VNIR_Cube"].shape
    # Corners are named as centres of pixels by some versions and as edges by others.
    x = left - (columns * _PRISMA_PIXEL - (right - left)) / 2
    y = top + (rows * _PRISMA_PIXEL - (top - bottom)) / 2
    transform = (_PRISMA_PIXEL, 0.0, x, 0.0, -_PRISMA_PIXEL, y)
    return Georeference(
        crs=f"EPSG:{int(np.ravel(file.attrs['Epsg_Code'])[0])}", transform=transform
    )


# AVIRIS-3 and AVIRIS-5 L2A: reflectance/reflectance [wavelength, y, x] and its grid mapping.


def _aviris(file: Any) -> Any | None:
    cube, name = _dataset(file, "reflectance/reflectance"), "reflectance/wavelength"
    bands_first = cube is not None and name in file and file[name].shape == cube.shape[:1]
    return cube if bands_first else None


def _read_aviris(file: Any) -> NDArray[Any]:
    return np.moveaxis(values(file["reflectance/reflectance"]), 0, -1)


def _aviris_header(file: Any) -> CubeHeader:
    group = file["reflectance"]
    return CubeHeader(
        wavelengths_nm=_numbers(_optional(group, "wavelength")),
        fwhm_nm=_numbers(_optional(group, "fwhm")),
        good_bands=_flags(_optional(group, "good_wavelengths")),
        nodata=_fill(group["reflectance"]),
        geo=_aviris_place(file),
    )


def _aviris_place(file: Any) -> Georeference | None:
    cube = file["reflectance/reflectance"]
    name = _text(cube.attrs.get("grid_mapping", "transverse_mercator"))
    mapping = next((file[p] for p in (name, f"reflectance/{name}") if p in file), None)
    if mapping is None or "GeoTransform" not in mapping.attrs:
        return None
    crs = mapping.attrs.get("crs_wkt", mapping.attrs.get("spatial_ref"))
    place = _text(mapping.attrs["GeoTransform"]).replace(",", " ").split()
    return Georeference(crs=None if crs is None else _text(crs), transform=_from_gdal(place))


# Tanager: [band, y, x], the bands as attributes; orthorectified files lie on the framing's grid.


def _tanager(file: Any) -> Any | None:
    return _dataset(file, *_TANAGER)


def _read_tanager(file: Any) -> NDArray[Any]:
    stored: Any = _tanager(file)
    cube = np.moveaxis(values(stored), 0, -1)
    outside = _optional(stored.parent, "nodata_pixels")
    if outside is not None and cube.dtype.kind == "f":
        cube[outside == 1] = np.nan
    return cube


def _tanager_header(file: Any) -> CubeHeader:
    cube: Any = _tanager(file)
    return CubeHeader(
        wavelengths_nm=_numbers(cube.attrs.get("wavelengths")),
        fwhm_nm=_numbers(cube.attrs.get("fwhm")),
        good_bands=_flags(cube.attrs.get("good_wavelengths")),
        nodata=_fill(cube),
        geo=_tanager_place(file, cube.shape[1:]),
    )


def _tanager_place(file: Any, size: tuple[int, int]) -> Georeference | None:
    found: list[dict[str, Any]] = []

    def look(_: str, item: Any) -> None:
        if "Planet_Ortho_Framing" in item.attrs:
            found.append(json.loads(_text(item.attrs["Planet_Ortho_Framing"])))

    file.visititems(look)
    framing = found[0] if found else {}
    # Files in the sensor's geometry name the grid that their orthorectified twin has.
    if (framing.get("rows"), framing.get("cols")) != size:
        return None
    transform = _from_gdal(framing["geotransform"])
    return Georeference(crs=f"EPSG:{framing['epsg_code']}", transform=transform)


PRODUCTS = (
    Product("EMIT L2A", _emit, _read_emit, _emit_header),
    Product("PRISMA L2D", _prisma, _read_prisma, _prisma_header),
    Product("AVIRIS-3 or AVIRIS-5 L2A", _aviris, _read_aviris, _aviris_header),
    Product("Tanager", _tanager, _read_tanager, _tanager_header),
)
"""All known layouts."""
