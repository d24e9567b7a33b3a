"""EnMAP and DESIS L2A: a GeoTIFF of 16-bit numbers, and an XML file that describes its bands.

EnMAP's classes (1 land, 2 water, 3 background) say which pixels lie outside of the swath. The other
quality layers describe pixels that have data: clouds, their shadows, cirrus, haze, snow and
interpolated detector elements; DESIS has only such.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.formats import READERS, register_reader
from snnquant.scenes.readers.geotiff import SIGNATURES
from snnquant.scenes.readers.header import CubeHeader

_METADATA = "-metadata.xml"
_IMAGES = ("-spectral_image.tif", "-spectral_image_cog.tif")
_CLASSES = ("-ql_quality_classes.tif", "-ql_quality_classes_cog.tif")
_BACKGROUND = 3
_NODATA = -32768.0
_SCALE_FACTOR = 10000.0


@dataclass(frozen=True)
class _Files:
    """Files of a product; only the image where nothing describes it."""

    image: Path
    metadata: Path | None = None
    classes: Path | None = None


def _files(path: Path) -> _Files:
    lower = path.name.lower()
    ending = next((end for end in (_METADATA, *_IMAGES) if lower.endswith(end)), None)
    if ending is None:
        return _Files(path)  # a GeoTIFF of an unusual name
    stem = lower.removesuffix(ending)
    beside = {other.name.lower(): other for other in path.parent.iterdir()}

    def first(endings: tuple[str, ...]) -> Path | None:
        return next((beside[stem + end] for end in endings if stem + end in beside), None)

    image = path if ending in _IMAGES else first(_IMAGES)
    if image is None:
        raise InputError(f"{path}: found no {path.name[: len(stem)]}-SPECTRAL_IMAGE.TIF beside it")
    return _Files(image, first((_METADATA,)), first(_CLASSES))


def files_of_product(path: Path) -> list[Path]:
    """Return the files of a product that are read."""
    files = _files(path)
    return [file for file in (files.image, files.metadata, files.classes) if file is not None]


def product_header(path: Path, variable: str | None) -> CubeHeader:
    """Return what the XML file says, and the place of the image."""
    files = _files(path)
    header, metadata = READERS.get("GeoTIFF").header(files.image, variable), files.metadata
    if metadata is None and files.classes is None:
        return header
    nodata = _NODATA if header.nodata is None else header.nodata
    header = replace(header, nodata=nodata)
    if metadata is None:
        return header
    tags: dict[str, list[str]] = {}
    for _, item in ElementTree.iterparse(metadata):
        # Some versions have a name space.
        tags.setdefault(item.tag.rpartition("}")[2].lower(), []).append((item.text or "").strip())
    gains = {float(text) for text in tags.get("gainofband", [])}
    bands = _numbers(tags, "wavelengthcenterofband")
    return replace(
        header,
        wavelengths_nm=bands,
        fwhm_nm=_numbers(tags, "fwhmofband") or _numbers(tags, "wavelengthwidthofband"),
        good_bands=_good(tags.get("expectedchannelslist", []), len(bands or ())),
        scale_factor=round(1 / gains.pop(), 6) if len(gains) == 1 else _SCALE_FACTOR,
    )


def _numbers(tags: dict[str, list[str]], name: str) -> tuple[float, ...] | None:
    return tuple(float(text) for text in tags.get(name, [])) or None


def _good(lists: list[str], bands: int) -> tuple[bool, ...] | None:
    """Return the bands that EnMAP's lists of channels, one per detector, have data for."""
    named = {int(number) for text in lists for number in text.replace(",", " ").split()}
    return tuple(number in named for number in range(1, bands + 1)) if named else None


@register_reader(
    "EnMAP or DESIS",
    suffixes=(_METADATA, *_IMAGES),
    signatures=(b"<?xml", *SIGNATURES),
    files=files_of_product,
    header=product_header,
)
def read_product(path: Path, variable: str | None) -> NDArray[Any]:
    """Read the image as [rows, columns, bands], background as no data; see `read_array`."""
    files, reader = _files(path), READERS.get("GeoTIFF")
    numbers = reader.read(files.image, variable)
    if files.classes is not None:
        classes = reader.read(files.classes, None)
        if classes.shape[:2] != numbers.shape[:2]:
            found, expected = (" x ".join(map(str, a.shape[:2])) for a in (classes, numbers))
            raise InputError(
                f"{files.classes}: found {found} pixels, expected {expected} as in {files.image}"
            )
        nodata = product_header(path, None).nodata
        numbers[classes[..., 0] == _BACKGROUND] = np.asarray(nodata).astype(numbers.dtype)
    return numbers
