"""Writing files so that a failure never leaves half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snnquant.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it replaces `path`, on failure it is gone.

    Raises InputError where the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(
        f".{os.getpid()}.{path.name}"
    )  # keeps the suffix, which writers read
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # renamed away, or its folder is none or read-only
            temporary.unlink()


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files in `folder`, of processes that were killed while they wrote.

    For the one process that works in the folder: it would take another's file away as well.
    """
    for path in folder.glob(".[0-9]*.*"):
        path.unlink(missing_ok=True)
