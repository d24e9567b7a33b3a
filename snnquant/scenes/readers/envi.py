"""ENVI rasters, a .hdr text beside a binary file, by spectral."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.common import reading, refuse_variable


def read(path: Path, variable: str | None) -> NDArray[Any]:
    """Map an image into memory as [rows, columns, bands]; see `read_array`."""
    refuse_variable(path, variable, "ENVI")
    image = _open(path)
    with reading(path, "ENVI", TypeError):
        # spectral's load() would make float32 of everything, labels and 64-bit numbers included.
        array: NDArray[Any] | None = image.open_memmap(interleave="bip", writable=False)
    if array is None:  # what spectral answers where the file is shorter than its header says
        raise InputError(f"{path}: {image.filename} is truncated, expected {image.shape} values")
    return array


def data_file(path: Path) -> Path:
    """The binary file of a header, which has the same name and another suffix, or none."""
    return Path(_open(path).filename)


def _open(path: Path) -> Any:
    from spectral import SpyException
    from spectral.io import envi

    with reading(path, "ENVI", SpyException, KeyError, TypeError, AttributeError):
        # Absolute, or spectral would look for the name in other folders as well.
        image = envi.open(str(path.resolve()))
        if not isinstance(image, envi.SpyFile):
            raise InputError(f"{path}: found a spectral library, expected an image")
    return image
