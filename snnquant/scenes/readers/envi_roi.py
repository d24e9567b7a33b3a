"""Regions of interest that ENVI wrote as text: the pixels of each region, by column and row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.formats import register_reader
from snnquant.scenes.readers.header import CubeHeader

_DIMENSION = re.compile(r"(\d+)\s*x\s*(\d+)")


@dataclass
class _Regions:
    columns: int = 0
    rows: int = 0
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    """Headings of the columns of numbers."""


def roi_header(path: Path, variable: str | None) -> CubeHeader:
    """Return the names of the regions, whose numbers are 1, 2, 3 in the order of the file."""
    return CubeHeader(class_names=tuple(_regions(path).names))


@register_reader(
    "ENVI ROI",
    suffixes=(".txt", ".roi"),
    signatures=(b"; ENVI Output of ROIs", b";ENVI Output of ROIs"),
    header=roi_header,
)
def read_roi(path: Path, variable: str | None) -> NDArray[Any]:
    """Read the number of the region of each pixel, 0 for none; see `read_array`."""
    regions = _regions(path)
    image = np.zeros((regions.rows, regions.columns), np.uint16)
    # ENVI counts from 1; newer versions write X and Y, older ones only the position.
    try:
        x, y = (regions.order.index(axis) for axis in ("X", "Y"))
    except ValueError:
        raise InputError("found no columns X and Y, expected the locations of pixels") from None
    rows = _points(path)
    for number, (name, size) in enumerate(zip(regions.names, regions.sizes, strict=True), start=1):
        for _ in range(size):
            point = next(rows, None)
            if point is None:
                raise InputError(f"found fewer pixels of {name}, expected {size}")
            column, row = int(float(point[x])), int(float(point[y]))
            if not (1 <= column <= regions.columns and 1 <= row <= regions.rows):
                size_text = f"{regions.columns} x {regions.rows}"
                raise InputError(f"found a pixel at {column}, {row}, expected it in {size_text}")
            image[row - 1, column - 1] = number
    return image


def _regions(path: Path) -> _Regions:
    found = _Regions()
    for line in _lines(path):
        if not line.startswith(";"):
            continue
        key, _, value = line.lstrip("; ").partition(":")
        match key.strip().lower():
            case "file dimension":
                size = _DIMENSION.search(value)
                found.columns, found.rows = map(int, size.groups()) if size else (0, 0)
            case "roi name":
                found.names.append(value.strip())
            case "roi npts":
                found.sizes.append(int(value))
            case heading if heading.split()[:1] == ["id"]:
                found.order = heading.upper().split()
    if found.columns * found.rows == 0 or not found.names or len(found.names) != len(found.sizes):
        raise InputError("found no file dimension or regions, expected those of ENVI")
    return found


def _points(path: Path) -> Iterator[list[str]]:
    for line in _lines(path):
        if line.strip() and not line.startswith(";"):
            yield line.split()


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from file
