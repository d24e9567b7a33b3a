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
