"""MAT files of version 7.3, which are HDF5, by h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.common import choose, reading

_NUMERIC = "double single int8 int16 int32 int64 uint8 uint16 uint32 uint64"


def read(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an array; see `read_array`. The axes are turned round: MATLAB stores columns first."""
    import h5py

    with reading(path, "MAT 7.3", RuntimeError, KeyError, TypeError), h5py.File(path) as file:
        sets = {key: item for key, item in file.items() if isinstance(item, h5py.Dataset)}
        held = {key: item.shape[::-1] for key, item in sets.items()}
        chosen = sets[choose(path, held, variable)]
        # Text is stored as 16-bit integers: only this attribute tells it from numbers.
        kind = chosen.attrs.get("MATLAB_class", b"double")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if kind not in _NUMERIC.split():
            raise InputError(f"{path}: found {kind} values, expected integers or real numbers")
        array: NDArray[Any] = np.transpose(chosen[()])
    return array
