"""Settings of the whole test run, and results that its processes share."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from snnquant.errors import InputError

# The networks of the tests are tiny, and pytest-xdist keeps every core busy: a second thread only
# waits, and waits busily. Set before torch is imported, and inherited by the commands that tests
# start.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Examples take as long as the machine lets them.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")

LONGEST = ("tests/end_to_end/test_indian_pines.py", "tests/end_to_end/test_wheel.py")
"""Modules that a worker of pytest-xdist starts with, the first two workers one each."""

MakeOnce = Callable[[str, Callable[[Path], None]], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest modules where workers start: `worksteal` gives each an equal share in order.

    The last tests are then short ones, and no worker waits long for another.
    """
    starts = [[item for item in items if item.nodeid.startswith(name)] for name in LONGEST]
    others = [item for item in items if not item.nodeid.startswith(LONGEST)]
    half = max(0, len(items) // 2 - len(starts[0]))
    items[:] = [*starts[0], *others[:half], *starts[1], *others[half:]]


# Millions of objects of the imported libraries live as long as the run: the garbage collector need
# not look at them while they are made, nor again with every pass during the tests.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage from here on, of what the tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Fill a folder once for all workers of pytest-xdist: to be read and copied, never changed."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, fill: Callable[[Path], None]) -> Path:
        path, finished = shared / name, shared / f"{name}.finished"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not finished.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                fill(path)
                finished.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """Call a reader with a path that it must refuse in one line naming the path."""

    def check(reader: Callable[[Path], object], path: Path) -> str:
        with pytest.raises(InputError) as caught:
            reader(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message

    return check


ENVI_TYPES = {"uint8": 1, "int16": 2, "int32": 3, "float32": 4, "float64": 5, "uint16": 12}
ENVI_AXES = {"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (2, 0, 1)}


def _write_envi(
    path: Path,
    array: np.ndarray,
    *,
    data: str = ".img",
    lines: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    order: str = "<",
    before: bytes = b"",
    encoding: str = "utf-8",
    **changes: object,
) -> Path:
    """Write a header and its binary file; return the binary file.

    `changes` replaces fields, `lines` adds some, `before` is put before the values.
    """
    rows, columns, bands = array.shape
    fields = {
        "samples": columns,
        "lines": rows,
        "bands": bands,
        "header offset": len(before),
        "file type": "ENVI Standard",
        "data type": ENVI_TYPES[array.dtype.name],
        "interleave": "bsq",
        "byte order": 0 if order == "<" else 1,
    }
    fields |= {key.replace("_", " "): value for key, value in changes.items()}
    text = ["ENVI", *(f"{k} = {v}" for k, v in fields.items() if k not in leave_out), *lines]
    path.write_bytes("\n".join([*text, ""]).encode(encoding))
    binary = path.with_suffix(data)
    raw = array.transpose(ENVI_AXES[str(fields["interleave"]).lower()])
    binary.write_bytes(before + raw.astype(array.dtype.newbyteorder(order)).tobytes())
    return binary


@pytest.fixture(scope="session")
def write_envi() -> Callable[..., Path]:
    """Write an ENVI file by hand, so that any field may be odd; return the binary file."""
    return _write_envi
