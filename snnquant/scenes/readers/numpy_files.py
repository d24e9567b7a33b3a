"""numpy's .npy files and .npz archives; pickled objects are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.scenes.readers.formats import choose_variable, register_reader


@register_reader("NumPy", suffixes=(".npy",), signatures=(b"\x93NUMPY",))
def read_npy(path: Path, variable: str | None) -> NDArray[Any]:
    """Map an array into memory; see `read_array`."""
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


@register_reader("NumPy archive", suffixes=(".npz",), signatures=(b"PK\x03\x04",), named=True)
def read_npz(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an array; see `read_array`."""
    with np.load(path, allow_pickle=False) as archive:
        if variable in archive.files:
            array: NDArray[Any] = archive[variable]
            return array
        # Only a wrong or missing name costs reading all arrays, for their shapes.
        held: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
        shapes = {name: item.shape for name, item in held.items()}
        return held[choose_variable(path, shapes, variable)]
