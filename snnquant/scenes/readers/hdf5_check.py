"""A look at HDF5 attributes in a child process: damaged ones make the library loop for ever."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from snnquant.errors import InputError

_SECONDS = 30
_READ_ALL = """
import sys, h5py
def read(name, item):
    for key in item.attrs:
        item.attrs[key]
    if isinstance(item, h5py.Dataset):
        [list(dimension.values()) for dimension in item.dims]
with h5py.File(sys.argv[1]) as file:
    read("", file)
    file.visititems(read)
"""


def check_attributes(file: Any) -> None:
    """Raise `InputError` if an attribute of variable length cannot be read to its end.

    Files without such attributes take no child process.
    """
    import h5py

    found = False

    def look(_: str, item: Any) -> None:
        nonlocal found
        for key in item.attrs:
            kind = h5py.h5a.open(item.id, key.encode()).get_type()
            variable = isinstance(kind, h5py.h5t.TypeVlenID)
            found |= variable or (
                isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()
            )

    look("", file)
    file.visititems(look)
    if found:
        path = Path(file.filename).resolve()
        state = path.stat()
        _read_in_child(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_in_child(path: Path, size: int, time: int) -> None:
    command = [sys.executable, "-P", "-c", _READ_ALL, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{path}: found attributes without an end, expected a whole HDF5 file"
        ) from None
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split()[-20:])
        raise InputError(f"{path}: found damage ({reason}), expected a whole HDF5 file")
