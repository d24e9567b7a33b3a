"""numpy's .npy files."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.scenes.readers.common import reading, refuse_variable


def read(path: Path, variable: str | None) -> NDArray[Any]:
    """Map an array into memory; see `read_array`. Pickled objects are refused."""
    refuse_variable(path, variable, "a .npy file")
    with reading(path, ".npy", SyntaxError, TokenError, TypeError):
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
