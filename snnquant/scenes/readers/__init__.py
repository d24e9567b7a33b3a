"""Arrays out of files: one module a format, the format told by the file's first bytes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from snnquant.errors import InputError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MATLAB_USER_BLOCK = 512
_SIGNATURES = {
    b"MATLAB": "mat5",
    _HDF5: "mat73",
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz",
    b"ENVI": "envi",
    b"II*\0": "geotiff",
    b"MM\0*": "geotiff",
    b"II+\0": "geotiff",
    b"MM\0+": "geotiff",
}


def read_array(path: Path, variable: str | None = None) -> NDArray[Any]:
    """Read one array as [rows, columns] or [rows, columns, bands], in the file's own type.

    `variable` names it where the format has names (.mat, .npz); a file that holds only one needs
    no name. Large .npy and ENVI files come as read-only memory maps.

    Raises `InputError` for a missing, damaged or unknown file, a wrong name (listing what the file
    holds), and values that are not real numbers.
    """
    reader = importlib.import_module(f"{__name__}.{_format(path)}")
    array: NDArray[Any] = reader.read(path, variable)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: found {array.dtype} values, expected integers or real numbers")
    return array


def content_files(path: Path) -> list[Path]:
    """The files that an array at `path` consists of: an ENVI header has its binary file beside it.

    Raises `InputError` as `read_array` does for a missing or unknown file.
    """
    if _format(path) != "envi":
        return [path]
    from snnquant.scenes.readers import envi

    return [path, envi.data_file(path)]


def _format(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(_MATLAB_USER_BLOCK + len(_HDF5))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    # MATLAB writes 7.3 files with a text header in front of the HDF5 part.
    if head[_MATLAB_USER_BLOCK:] == _HDF5:
        return "mat73"
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            return name
    found = f"{head[:8]!r} at its start" if head else "an empty file"
    raise InputError(
        f"{path}: found {found}, expected a .mat, .npy, .npz, ENVI .hdr or GeoTIFF file"
    )
