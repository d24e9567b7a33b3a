"""Tiny files with the published groups of products, for tests."""

import json
from pathlib import Path

import h5py
import numpy as np

FILL = -9999.0
UTM_32N = 32632


def emit(path: Path, cube: np.ndarray) -> None:
    """Write EMIT L2A: reflectance in the sensor's geometry, a lookup table of 3 x 4 pixels."""
    rows, columns, bands = cube.shape
    with h5py.File(path, "w") as file:
        file["reflectance"] = cube.astype(np.float32)
        file["reflectance"].attrs["_FillValue"] = np.float32([FILL])
        names = ["downtrack", "crosstrack", "bands"]
        for axis, (name, size) in enumerate(zip(names, cube.shape, strict=True)):
            file[name] = np.arange(size)
            file[name].make_scale(name)
            file["reflectance"].dims[axis].attach_scale(file[name])
        bands_group = file.create_group("sensor_band_parameters")
        bands_group["wavelengths"] = np.linspace(381, 2493, bands).astype(np.float32)
        bands_group["fwhm"] = np.full(bands, 8.4, np.float32)
        bands_group["good_wavelengths"] = np.arange(bands) != 1
        table = np.zeros((3, 4, 2), np.int32)
        table[1, 1:3] = [[1, 1], [columns, rows]]
        file["location/glt_x"], file["location/glt_y"] = table[..., 0], table[..., 1]
        file.attrs["geotransform"] = [10.0, 0.5, 0.0, 50.0, 0.0, -0.5]
        file.attrs["spatial_ref"] = np.bytes_("EPSG:4326")


def prisma(path: Path, numbers: np.ndarray, vnir: list[float], swir: list[float]) -> None:
    """Write PRISMA L2D: numbers [rows, columns, bands] of both detectors, one after the other."""
    fields = "HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/"
    rows, columns = numbers.shape[:2]
    with h5py.File(path, "w") as file:
        for name, part in (
            ("VNIR", numbers[..., : len(vnir)]),
            ("SWIR", numbers[..., len(vnir) :]),
        ):
            file[f"{fields}{name}_Cube"] = np.moveaxis(part, 2, 1).astype(np.uint16)
        file.attrs["List_Cw_Vnir"], file.attrs["List_Cw_Swir"] = np.float32(vnir), np.float32(swir)
        file.attrs["List_Fwhm_Vnir"] = np.float32([10.0] * len(vnir))
        file.attrs["List_Fwhm_Swir"] = np.float32([11.0] * len(swir))
        for name, low, high in (("Vnir", 0.0, 1.0), ("Swir", 0.25, 0.75)):
            file.attrs[f"L2Scale{name}Min"] = np.float32(low)
            file.attrs[f"L2Scale{name}Max"] = np.float32(high)
        file.attrs["Epsg_Code"] = np.uint32(UTM_32N)
        corners = {"UL": (500015.0, 5300985.0)}
        corners["LR"] = (500015.0 + 30 * (columns - 1), 5300985.0 - 30 * (rows - 1))
        for corner, (east, north) in corners.items():
            file.attrs[f"Product_{corner}corner_easting"] = np.float32(east)
            file.attrs[f"Product_{corner}corner_northing"] = np.float32(north)


def aviris(path: Path, cube: np.ndarray) -> None:
    """Write AVIRIS-3 L2A: reflectance/reflectance [wavelength, y, x] and its grid mapping."""
    with h5py.File(path, "w") as file:
        file["reflectance/reflectance"] = np.moveaxis(cube, 2, 0).astype(np.float32)
        file["reflectance/wavelength"] = np.linspace(390, 2490, cube.shape[2])
        file["reflectance/fwhm"] = np.full(cube.shape[2], 7.4)
        attributes = file["reflectance/reflectance"].attrs
        attributes["_FillValue"], attributes["grid_mapping"] = FILL, "transverse_mercator"
        mapping = file.create_dataset("transverse_mercator", data=b"")
        mapping.attrs["crs_wkt"] = f"EPSG:{UTM_32N}"
        mapping.attrs["GeoTransform"] = "500000.0 4.0 0.0 5300000.0 0.0 -4.0"


def tanager(path: Path, cube: np.ndarray, framing_rows: int) -> None:
    """Write Tanager: [band, y, x], the bands as attributes, and the grid of the framing."""
    with h5py.File(path, "w") as file:
        fields = file.create_group("HDFEOS/SWATHS/HYP/Data Fields")
        fields["surface_reflectance"] = np.moveaxis(cube, 2, 0).astype(np.float32)
        attributes = fields["surface_reflectance"].attrs
        attributes["wavelengths"] = np.linspace(376, 2499, cube.shape[2])
        attributes["fwhm"] = np.full(cube.shape[2], 5.5)
        attributes["good_wavelengths"] = np.arange(cube.shape[2]) != 2
        outside = np.zeros(cube.shape[:2], np.uint8)
        outside[0, 0] = 1
        fields["nodata_pixels"] = outside
        framing = {
            "epsg_code": UTM_32N,
            "rows": framing_rows,
            "cols": cube.shape[1],
            "geotransform": [503220.0, 30.0, 0.0, 4410990.0, 0.0, -30.0],
        }
        place = file.create_group("HDFEOS/SWATHS/HYP/Geolocation Fields")
        place.attrs["Planet_Ortho_Framing"] = json.dumps(framing)
