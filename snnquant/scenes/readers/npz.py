"""numpy's .npz archives."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.scenes.readers.common import choose, reading


def read(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an array; see `read_array`. Pickled objects are refused."""
    archive_damage = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
    header_damage = (SyntaxError, TokenError, TypeError)
    with (
        reading(path, ".npz", *archive_damage, *header_damage),
        np.load(path, allow_pickle=False) as archive,
    ):
        if variable in archive.files:
            array: NDArray[Any] = archive[variable]
            return array
        # Only a wrong or missing name costs reading all arrays, for their shapes.
        held: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
        return held[choose(path, {name: item.shape for name, item in held.items()}, variable)]
