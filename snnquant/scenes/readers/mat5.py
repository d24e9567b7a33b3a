"""MAT files of version 5 (MATLAB's default), by scipy."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from snnquant.scenes.readers.common import choose, reading


def read(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an array; see `read_array`."""
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    # scipy parses the tags of a damaged file as if they were sound: the rest is what that may hit.
    damage = (MatReadError, zlib.error, TypeError, KeyError, IndexError, OverflowError)
    with reading(path, "MAT 5", *damage):
        held = {name: shape for name, shape, _ in whosmat(path)}
        name = choose(path, held, variable)
        array: NDArray[Any] = loadmat(path, variable_names=[name])[name]
    return array
