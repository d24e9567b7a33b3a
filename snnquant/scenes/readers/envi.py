"""ENVI rasters, a .hdr text beside a binary file, by spectral."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.formats import register_reader


def header_and_binary(path: Path) -> list[Path]:
    """Return a header and its binary file, which has the same name and another suffix, or none."""
    return [path, Path(_open(path).filename)]


@register_reader("ENVI", suffixes=(".hdr",), signatures=(b"ENVI",), files=header_and_binary)
def read_envi(path: Path, variable: str | None) -> NDArray[Any]:
    """Map an image into memory as [rows, columns, bands]; see `read_array`."""
    image = _open(path)
    # spectral's load() would make float32 of everything, labels and 64-bit numbers included.
    array: NDArray[Any] | None = image.open_memmap(interleave="bip", writable=False)
    if array is None:  # spectral's answer where the file is shorter than its header says
        raise InputError(f"{path}: {image.filename} is truncated, expected {image.shape} values")
    return array


def _open(path: Path) -> Any:
    from spectral.io import envi

    # Absolute, or spectral would look for the name in other folders as well.
    image = envi.open(str(path.resolve()))
    if not isinstance(image, envi.SpyFile):
        raise InputError(f"{path}: found a spectral library, expected an image")
    return image
