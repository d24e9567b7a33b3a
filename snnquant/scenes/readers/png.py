"""PNG pictures of labels: a palette's indices, or grey values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.formats import register_reader

_MODES = ("P", "L", "I;16", "I", "1")


@register_reader("PNG", suffixes=(".png",), signatures=(b"\x89PNG\r\n\x1a\n",))
def read_png(path: Path, variable: str | None) -> NDArray[Any]:
    """Read a picture of one number per pixel as [rows, columns]; see `read_array`."""
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as picture:
        if picture.mode not in _MODES:
            raise InputError(f"found colours ({picture.mode}), expected a palette or grey values")
        values = np.asarray(picture)
    return values.astype(np.uint8) if values.dtype == bool else values
