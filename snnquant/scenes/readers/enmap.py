"""EnMAP and DESIS L2A: a GeoTIFF of 16-bit numbers, and an XML file that describes its bands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.formats import READERS, register_reader
from snnquant.scenes.readers.geotiff import SIGNATURES
from snnquant.scenes.readers.header import CubeHeader

_METADATA, _IMAGE = "-metadata.xml", "-spectral_image.tif"
_NODATA = -32768.0
_SCALE_FACTOR = 10000.0


def _pair(path: Path) -> tuple[Path, Path | None]:
    """Return the image and its description; only the image where nothing describes it."""
    lower = path.name.lower()
    if not lower.endswith((_METADATA, _IMAGE)):
        return path, None  # a GeoTIFF of an unusual name
    ending = _METADATA if lower.endswith(_METADATA) else _IMAGE
    stem = lower.removesuffix(ending)
    beside = {other.name.lower(): other for other in path.parent.iterdir()}
    image, metadata = beside.get(f"{stem}{_IMAGE}"), beside.get(f"{stem}{_METADATA}")
    if image is None:
        raise InputError(f"{path}: found no {path.name[: len(stem)]}-SPECTRAL_IMAGE.TIF beside it")
    return image, metadata


def image_and_description(path: Path) -> list[Path]:
    """Return the two files of a product."""
    return [file for file in _pair(path) if file is not None]


def product_header(path: Path, variable: str | None) -> CubeHeader:
    """Return what the XML file says, and the place of the image."""
    image, metadata = _pair(path)
    header = READERS.get("GeoTIFF").header(image, variable)
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
        nodata=_NODATA if header.nodata is None else header.nodata,
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
    suffixes=(_METADATA, _IMAGE),
    signatures=(b"<?xml", *SIGNATURES),
    files=image_and_description,
    header=product_header,
)
def read_product(path: Path, variable: str | None) -> NDArray[Any]:
    """Read the image as [rows, columns, bands]; see `read_array`."""
    return READERS.get("GeoTIFF").read(_pair(path)[0], variable)
