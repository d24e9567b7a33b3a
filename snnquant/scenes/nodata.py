"""Pixels without data: their mask, and the values that stand in for theirs.

A pixel has no data if one of its bands is NaN or infinite, or equals the no-data value of its
source. The no-data value 0 must fill all bands of a pixel: a dark band of a good pixel is 0 too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGITS = 2e-6
"""Relative deviation allowed from a no-data value in floats: headers round -3.40282347e+38."""


USUAL = (-9999.0, -32768.0, -32767.0, -3.4028234663852886e38, -1e34)
"""Values that sources often mean as no data without declaring them."""


def undeclared(lowest: float) -> float | None:
    """Return the usual no-data value that the lowest value of a cube equals, None if none."""
    return next((value for value in USUAL if np.isclose(lowest, value, rtol=_DIGITS, atol=0)), None)


def equals_nodata(raw: NDArray[Any], nodata: float | None) -> NDArray[np.bool_] | None:
    """Return where values equal the no-data value; None without one that their type can hold."""
    if nodata is None or not np.isfinite(nodata):
        return None  # NaN and infinity are found by themselves
    if raw.dtype.kind == "f":
        margin = abs(nodata) * _DIGITS
        limit = float(np.finfo(raw.dtype).max)
        lower, upper = max(nodata - margin, -limit), min(nodata + margin, limit)
        found: NDArray[np.bool_] = (raw >= lower) & (raw <= upper)
        return found
    limits = np.iinfo(raw.dtype)
    if nodata != int(nodata) or not limits.min <= nodata <= limits.max:
        return None
    return np.asarray(raw == raw.dtype.type(int(nodata)))


def missing_values(
    raw: NDArray[Any], values: NDArray[np.float32], nodata: float | None
) -> NDArray[np.bool_] | None:
    """Return where pixels [..., B] lack a band's value; None if none does.

    Args:
        raw: Values as the source has them.
        values: The same as they are used, where a value too large for float32 is infinite.
        nodata: No-data value of the source.
    """
    equal = equals_nodata(raw, nodata)
    if raw.dtype.kind in "biu" or np.isfinite(values).all():
        if equal is None or not equal.any():
            return None
        missing = np.zeros(values.shape, bool)
    else:
        missing = ~np.isfinite(values)
    if equal is not None:
        missing |= equal.all(axis=-1, keepdims=True) if nodata == 0 else equal
    return missing if missing.any() else None


def fill_nearest(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
    """Give every pixel without data the values of the nearest one with data, in place.

    Args:
        values: [H, W, B].
        valid: [H, W]; nothing is filled where it is False everywhere.
    """
    if valid.all() or not valid.any():
        return
    from scipy.ndimage import distance_transform_edt

    gaps = ~valid
    rows, columns = distance_transform_edt(gaps, return_distances=False, return_indices=True)
    values[gaps] = values[rows[gaps], columns[gaps]]
