"""ENVI rasters: a header (.hdr) beside a binary file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.pixels import remark
from snnquant.scenes.readers.envi_header import ESRI_WORDS, cube_header, read_fields
from snnquant.scenes.readers.formats import register_reader
from snnquant.scenes.readers.header import CubeHeader

_TYPES = {
    **{1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 6: "c8", 9: "c16"},
    **{12: "u2", 13: "u4", 14: "i8", 15: "u8"},
}
_AXES = {"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (1, 2, 0)}
"""Places in the file of rows, columns and bands, by interleave."""
_SUFFIXES = (
    *("", ".img", ".dat", ".sli", ".hyspex", ".raw", ".bin", ".bil", ".bip", ".bsq", ".envi"),
    *(".rfl", ".refl", ".cub", ".cube"),
)
"""Suffixes of binary files, in the order of the search."""
_SIGNATURES = (b"ENVI", b"\xef\xbb\xbfENVI", *(word.encode() for word in ESRI_WORDS))


@dataclass(frozen=True)
class _Image:
    """Layout of the binary file, as the header states it."""

    binary: Path
    fields: dict[str, str]
    shape: tuple[int, int, int]
    """Rows, columns, bands."""
    dtype: np.dtype[Any]
    interleave: str
    offset: int

    @property
    def size(self) -> int:
        """Bytes that the binary file must have."""
        rows, columns, bands = self.shape
        return self.offset + rows * columns * bands * self.dtype.itemsize


def header_and_binary(path: Path) -> list[Path]:
    """Return a header and its binary file, which has the same name and another suffix, or none."""
    return [path, _image(path).binary]


def header_beside(path: Path) -> Path | None:
    """Return the header of a binary file, of the same name with .hdr after it or as its suffix."""
    names = (f"{path.name}.hdr", f"{path.stem}.hdr")
    try:
        found = _by_lower_name(path.parent)
    except OSError:  # a folder that cannot be listed
        return None
    return next((found[name.lower()] for name in names if name.lower() in found), None)


def read_envi_header(path: Path, variable: str | None) -> CubeHeader:
    """Return the statements of a header; says if the binary file is longer than it states."""
    image = _image(path)
    length = image.binary.stat().st_size
    if length > image.size:
        remark(
            f"{image.binary}: found {length} bytes, expected {image.size} as {path.name} says: "
            "longer, so check data type, size and header offset"
        )
    return cube_header(path, image.fields, image.shape[2])


@register_reader(
    "ENVI",
    suffixes=(".hdr",),
    signatures=_SIGNATURES,
    files=header_and_binary,
    header=read_envi_header,
    beside=header_beside,
)
def read_envi(path: Path, variable: str | None) -> NDArray[Any]:
    """Map an image into memory as [rows, columns, bands]; see `read_array`."""
    image = _image(path)
    length = image.binary.stat().st_size
    if length < image.size:
        raise InputError(
            f"{path}: {image.binary.name} is truncated: found {length} bytes, expected {image.size}"
        )
    axes = _AXES[image.interleave]
    shape = tuple(image.shape[axes.index(place)] for place in range(3))
    array = np.memmap(image.binary, image.dtype, "r", image.offset, shape)
    return array.transpose(axes)


def _image(path: Path) -> _Image:
    fields = read_fields(path)
    for key in ("file type", "file compression"):
        value = fields.get(key, "").lower()
        if "spectral library" in value:
            raise InputError(f"{path}: found a spectral library, expected an image")
        if key == "file compression" and value not in ("", "0"):
            raise InputError(f"{path}: found a compressed file, expected one that is not")
    for key in ("major frame offsets", "minor frame offsets"):
        if fields.get(key, "").strip("{}0, "):
            raise InputError(f"{path}: {key}: found {fields[key]}, expected 0")
    rows, columns, bands = (_whole(path, fields, key, 1) for key in ("lines", "samples", "bands"))
    kind, interleave = _whole(path, fields, "data type", 1), fields.get("interleave", "").lower()
    if kind not in _TYPES:
        raise InputError(
            f"{path}: data type: found {kind}, expected one of {', '.join(map(str, _TYPES))}"
        )
    if interleave not in _AXES:
        found = interleave or "nothing"
        raise InputError(f"{path}: interleave: found {found}, expected bsq, bil or bip")
    # ENVI and GDAL take 0 where it is missing.
    order = "<" if _whole(path, fields, "byte order", 0, default=0) == 0 else ">"
    dtype = np.dtype(order + _TYPES[kind])
    offset = _whole(path, fields, "header offset", 0, default=0)
    shape, size = (rows, columns, bands), offset + rows * columns * bands * dtype.itemsize
    return _Image(_binary_of(path, size), fields, shape, dtype, interleave, offset)


def _whole(
    path: Path, fields: dict[str, str], key: str, low: int, default: int | None = None
) -> int:
    text = fields.get(key, "")
    if not text and default is not None:
        return default
    try:
        number = int(float(text))
    except (ValueError, OverflowError):
        number = low - 1
    if number < low:
        raise InputError(
            f"{path}: {key}: found {text or 'nothing'}, expected an integer of {low} or more"
        )
    return number


def _by_lower_name(folder: Path) -> dict[str, Path]:
    return {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_file()}


def _binary_of(header: Path, size: int) -> Path:
    """Return the binary file of a header: by its suffix, else the only one of the right size."""
    stem = header.stem if header.suffix.lower() == ".hdr" else header.name
    for suffix in _SUFFIXES:  # exact names before those that differ in case
        if (header.parent / f"{stem}{suffix}") != header:
            path = header.parent / f"{stem}{suffix}"
            if path.is_file():
                return path
    files = _by_lower_name(header.parent)
    for suffix in _SUFFIXES:
        found = files.get(f"{stem}{suffix}".lower())
        if found is not None and found != header:
            return found
    others = [p for p in files.values() if p.stem == stem and p != header]
    fitting = [path for path in others if path.stat().st_size == size]
    if len(fitting) != 1:
        names = ", ".join(f"{stem}{suffix}" for suffix in _SUFFIXES[:4])
        raise InputError(f"{header}: found no data file beside it, expected one such as {names}")
    return fitting[0]
