"""A cube in one file per band, such as Hyperion's: a pattern or a list in place of a name.

The pattern is the name of a path: "EO1H*_B*_L1T.TIF", or "{b1.tif,b2.tif}" for files in this order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.header import CubeHeader

_HYPERION = re.compile(r"EO1H.*_B(\d{3})_L1[A-Z]*\.TIFF?", re.IGNORECASE)
# First centre and spacing of Hyperion's two detectors (nm), and their calibrated bands.
_VNIR, _SWIR = (355.59, 10.1752, range(8, 58)), (851.92, 10.0888, range(77, 225))
_FIRST_SWIR = 71


def pattern_of(files: Sequence[str]) -> str | None:
    """Return the path that stands for a list of files, None where they lie in several folders."""
    folders = {Path(file).parent for file in files}
    names = [Path(file).name for file in files]
    if len(folders) != 1 or not all(names) or any(set(name) & set("{},") for name in names):
        return None
    return str(folders.pop() / f"{{{','.join(names)}}}")


def band_paths(path: Path) -> list[Path] | None:
    """Return the files that a pattern stands for, in the order of the bands; None for one file."""
    name = path.name
    if name.startswith("{") and name.endswith("}"):
        return [path.with_name(part) for part in name[1:-1].split(",")]
    if not set(name) & set("*?[") or path.exists():
        return None
    return sorted(path.parent.glob(name), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts B2 before B10."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", path.name)]


def stack(path: Path, bands: Sequence[Path], read: Callable[[Path], NDArray[Any]]) -> NDArray[Any]:
    """Read one file per band as [rows, columns, bands]."""
    if not bands:
        raise InputError(f"{path}: found no such files, expected one per band")
    first = _image(read(bands[0]))
    cube = np.empty((*first.shape, len(bands)), first.dtype)
    for index, band in enumerate(bands):
        image = first if index == 0 else _image(read(band))
        if image.shape != first.shape or image.dtype != first.dtype or image.ndim != 2:
            raise InputError(
                f"{band}: found {image.dtype} of shape {image.shape}, expected one band of "
                f"{first.dtype}, {first.shape[0]} x {first.shape[1]} as in {bands[0].name}"
            )
        cube[..., index] = image
    return cube


def _image(array: NDArray[Any]) -> NDArray[Any]:
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def stack_header(bands: Sequence[Path], first: CubeHeader) -> CubeHeader:
    """Return the header of the first file, with Hyperion's wavelengths for Hyperion's names."""
    matches = [_HYPERION.fullmatch(band.name) for band in bands]
    numbers = [int(match[1]) for match in matches if match]
    if len(numbers) < len(bands):
        return replace(first, wavelengths_nm=None, fwhm_nm=None, good_bands=None)
    return replace(
        first,
        wavelengths_nm=tuple(_hyperion_centre(number) for number in numbers),
        good_bands=tuple(n in _VNIR[2] or n in _SWIR[2] for n in numbers),
    )


def _hyperion_centre(number: int) -> float:
    start, step, _ = _VNIR if number < _FIRST_SWIR else _SWIR
    return round(start + step * (number - (1 if number < _FIRST_SWIR else _FIRST_SWIR)), 2)
