"""The text of an ENVI header: its keys, and their values in our units."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from snnquant.errors import InputError
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.pixels import remark
from snnquant.scenes.readers.header import CubeHeader

ESRI_WORDS = ("BYTEORDER", "LAYOUT", "NROWS", "NCOLS", "NBANDS", "NBITS", "PIXELTYPE")
"""Words that an ESRI header, which also ends in .hdr, may begin with."""
_NANOMETRES = {
    "nanometer": 1.0,
    "nm": 1.0,
    "micrometer": 1e3,
    "micron": 1e3,
    "um": 1e3,
    "µm": 1e3,
    "μm": 1e3,
    "millimeter": 1e6,
    "mm": 1e6,
    "centimeter": 1e7,
    "cm": 1e7,
    "meter": 1e9,
    "m": 1e9,
    "angstrom": 0.1,
}
"""Units of length, singular; others are treated one by one."""


def read_fields(path: Path) -> dict[str, str]:
    """Return the keys of a header, lower case, with their values; a list's braces are kept.

    Raises `InputError` that names the file if it is no ENVI header.
    """
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:  # written in a Western code page
        text = raw.decode("latin-1")
    lines = iter(text.splitlines())
    first = next(lines, "").strip()
    if first.partition(" ")[0].upper() in ESRI_WORDS:
        raise InputError(
            f"{path}: found an ESRI header ({first[:20]} ...), expected an ENVI header, which "
            "gdal_translate -of ENVI writes"
        )
    if not first.startswith("ENVI"):
        raise InputError(f"{path}: found {first[:20]!r}, expected an ENVI header")
    fields: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals or line.lstrip().startswith(";"):
            continue
        value = value.strip()
        while value.startswith("{") and "}" not in value:
            more = next(lines, None)
            if more is None:
                raise InputError(f"{path}: {key.strip()}: found no closing brace, expected one")
            if not more.lstrip().startswith(";"):
                value += " " + more.strip()
        fields[" ".join(key.lower().split())] = value
    return fields


def items(value: str) -> list[str]:
    """Return the entries of a list in braces.

    >>> items("{400.0, 410.5,}")
    ['400.0', '410.5']
    """
    inner = value.strip().removeprefix("{").partition("}")[0]
    return [part.strip() for part in inner.split(",") if part.strip()]


def cube_header(path: Path, fields: dict[str, str], bands: int) -> CubeHeader:
    """Return the statements of a header; says which of them cannot be used."""
    found = _Statements(path, fields, bands)
    waves, widths = found.wavelengths()
    ignored, scale = found.number("data ignore value"), found.number("reflectance scale factor")
    if scale is not None and not 0 < scale < float("inf"):
        found.unused("reflectance scale factor", "a number above 0")
        scale = None
    return CubeHeader(
        wavelengths_nm=waves,
        fwhm_nm=widths,
        good_bands=found.good_bands(),
        nodata=ignored,
        scale_factor=scale,
        default_bands=found.default_bands(),
        geo=_place(fields),
    )


class _Statements:
    def __init__(self, path: Path, fields: dict[str, str], bands: int) -> None:
        self.path, self.fields, self.bands = path, fields, bands

    def unused(self, key: str, expected: str) -> None:
        value = self.fields[key]
        short = value if len(value) <= 30 else f"{value[:27]}..."
        remark(f"{self.path}: {key}: found {short or 'nothing'}, expected {expected}: not used")

    def number(self, key: str) -> float | None:
        if not self.fields.get(key, "").strip("{} "):
            return None
        try:
            return float(self.fields[key].strip("{} "))
        except ValueError:
            self.unused(key, "a number")
            return None

    def per_band(self, key: str) -> list[float] | None:
        """Return one number per band; None without them, which is said if there are others."""
        if key not in self.fields or not items(self.fields[key]):
            return None
        try:
            numbers = [float(entry) for entry in items(self.fields[key])]
        except ValueError:
            numbers = []
        if len(numbers) != self.bands:
            self.unused(key, f"{self.bands} numbers, one per band")
            return None
        return numbers

    def wavelengths(self) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        """Return centres and widths in nanometres, whatever the header's unit."""
        centres, widths = self.per_band("wavelength"), self.per_band("fwhm")
        if centres is None:
            return None, None
        key = "wavelength units"
        to_nm = _converter(self.fields.get(key, ""), centres)
        if to_nm is None:
            self.unused(key if key in self.fields else "wavelength", "a unit of length")
            return None, None
        if not all(0 < to_nm(centre) < 1e9 for centre in centres if centre) or not all(centres):
            self.unused("wavelength", "numbers above 0")
            return None, None
        in_nm = tuple(to_nm(centre) for centre in centres)
        if widths is None:
            return in_nm, None
        halves = list(zip(centres, widths, strict=True))
        if not all(0 < width < 2 * centre for centre, width in halves):
            self.unused("fwhm", "numbers above 0")
            return in_nm, None
        return in_nm, tuple(abs(to_nm(c + w / 2) - to_nm(c - w / 2)) for c, w in halves)

    def good_bands(self) -> tuple[bool, ...] | None:
        marks = self.per_band("bbl")
        if marks is None:
            return None
        good = tuple(mark > 0 for mark in marks)
        if not any(good):
            self.unused("bbl", "a band that is good")
            return None
        return good

    def default_bands(self) -> tuple[int, ...] | None:
        try:
            chosen = tuple(
                int(float(part)) - 1 for part in items(self.fields.get("default bands", ""))
            )
        except (ValueError, OverflowError):
            return None
        return chosen if chosen and all(0 <= band < self.bands for band in chosen) else None


def _converter(unit: str, centres: list[float]) -> Callable[[float], float] | None:
    """Return the conversion of a unit to nanometres; None for one that is no wavelength."""
    name = re.sub(r"metre", "meter", unit.strip("{} ").lower())
    singular = name.removesuffix("s")
    factor = _NANOMETRES.get(name, _NANOMETRES.get(singular))
    if name in ("", "unknown"):  # light that such sensors see is told apart by the size of numbers
        factor = 1e3 if max(centres) < 100 else 1.0
    if factor is not None:
        return lambda value: value * factor
    if singular.startswith("wavenumber") or name.replace(" ", "") in ("cm-1", "1/cm"):
        return lambda value: 1e7 / value
    for prefix, hertz in (("ghz", 1e9), ("mhz", 1e6), ("gigahertz", 1e9), ("megahertz", 1e6)):
        if name == prefix:
            return lambda value: 299_792_458e9 / (value * hertz)
    return None


def _place(fields: dict[str, str]) -> Georeference | None:
    """Return the place on Earth that `map info` and `coordinate system string` state."""
    info = fields.get("map info", "").strip().removeprefix("{").removesuffix("}").strip()
    if not info:
        return None
    crs = fields.get("coordinate system string", "").strip().removeprefix("{").removesuffix("}")
    return Georeference.from_envi(info, crs.strip() or None)
