"""MATLAB's files: MAT 5, its default, by scipy, and MAT 7.3, which is HDF5, by h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.formats import choose_variable, register_reader

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NUMERIC = "double single int8 int16 int32 int64 uint8 uint16 uint32 uint64"


@register_reader("MAT 5", suffixes=(".mat",), signatures=(b"MATLAB",), named=True)
def read_mat5(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an array; see `read_array`."""
    from scipy.io import loadmat, whosmat

    held = {name: shape for name, shape, _ in whosmat(path)}
    name = choose_variable(path, held, variable)
    array: NDArray[Any] = loadmat(path, variable_names=[name])[name]
    return array


# MATLAB writes a text header of 512 bytes before the HDF5 part. Registered after MAT 5, whose
# signature that header has too.
@register_reader("MAT 7.3", suffixes=(".mat",), signatures=(_HDF5,), offsets=(0, 512), named=True)
def read_mat73(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an array; see `read_array`. The axes are reversed: MATLAB stores columns first."""
    import h5py

    with h5py.File(path) as file:
        sets = {key: item for key, item in file.items() if isinstance(item, h5py.Dataset)}
        held = {key: item.shape[::-1] for key, item in sets.items()}
        chosen = sets[choose_variable(path, held, variable)]
        # Text is stored as 16-bit integers: only this attribute tells it from numbers.
        kind = chosen.attrs.get("MATLAB_class", b"double")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if kind not in _NUMERIC.split():
            raise InputError(f"{path}: found {kind} values, expected integers or real numbers")
        array: NDArray[Any] = np.transpose(chosen[()])
    return array
