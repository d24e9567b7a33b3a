"""The statements of a file about its cube."""

from __future__ import annotations

from dataclasses import dataclass

from snnquant.scenes.georeference import Georeference


@dataclass(frozen=True)
class CubeHeader:
    """Statements of a file about its cube, as `read_array` returns that; None if it says nothing.

    >>> CubeHeader(nodata=-9999.0).wavelengths_nm is None
    True
    """

    wavelengths_nm: tuple[float, ...] | None = None
    """Centre per band."""
    fwhm_nm: tuple[float, ...] | None = None
    """Full width at half maximum per band."""
    good_bands: tuple[bool, ...] | None = None
    """False for each band that its producer declares bad."""
    nodata: float | None = None
    """Value of pixels without data, before any scaling."""
    scale_factor: float | None = None
    """Values divided by it are reflectance."""
    default_bands: tuple[int, ...] | None = None
    """Bands to show as red, green and blue (or one as grey), counted from 0."""
    geo: Georeference | None = None
    class_names: tuple[str, ...] | None = None
    """Names of the numbers 1, 2, 3 of a label file."""
