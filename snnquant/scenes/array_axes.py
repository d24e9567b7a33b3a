"""Arrays whose axes are not rows, columns and bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from snnquant.errors import InputError

_IMAGE = ("rows", "columns", "bands")


def as_image(
    array: NDArray[Any],
    axes: Sequence[str],
    size: Sequence[int] | None,
    order: str | None,
    where: str,
) -> NDArray[Any]:
    """Return an array with named axes as [rows, columns, bands], a view where possible.

    Args:
        array: Any array.
        axes: Its axes: rows, columns and bands, or bands and pixels.
        size: Rows and columns, where pixels have one axis.
        order: "rows" if pixels follow each other along rows, "columns" along columns.
        where: Beginning of the error message.

    Raises:
        InputError: The array has another number of axes or pixels.

    >>> import numpy as np
    >>> spectra = np.arange(12).reshape(2, 6)
    >>> as_image(spectra, ("bands", "pixels"), (2, 3), "columns", "V")[:, :, 0].tolist()
    [[0, 2, 4], [1, 3, 5]]
    """
    if array.ndim != len(axes):
        expected = f"{len(axes)} axes ({', '.join(axes)}) as layout says"
        raise InputError(f"{where}: found shape {array.shape}, expected {expected}")
    if "pixels" not in axes:
        return array.transpose([axes.index(name) for name in _IMAGE])
    assert size is not None
    rows, columns = size[:2]
    pixels = array.transpose(axes.index("pixels"), axes.index("bands"))
    if len(pixels) != rows * columns:
        expected = f"{rows * columns}, rows times columns of shape"
        raise InputError(f"{where}: found {len(pixels)} pixels, expected {expected}")
    if order == "rows":
        return pixels.reshape(rows, columns, -1)
    return pixels.reshape(columns, rows, -1).transpose(1, 0, 2)
