"""A scene reader outside of the package: the made-up format GRID, a text beside a binary file.

The text says "GRID 1 TYPE ROWS COLUMNS BANDS"; the values lie in the .raw file beside it.
"""

from pathlib import Path

import numpy as np

from snnquant.scenes import register_reader


def text_and_binary(path: Path) -> list[Path]:
    """List the two files of a GRID."""
    return [path, path.with_suffix(".raw")]


@register_reader("GRID", suffixes=(".grid",), signatures=(b"GRID 1 ",), files=text_and_binary)
def read_grid(path: Path, variable: str | None) -> np.ndarray:
    """Map the values into memory."""
    dtype, *shape = path.read_text().split()[2:]
    return np.memmap(path.with_suffix(".raw"), dtype, "r", shape=tuple(map(int, shape)))
