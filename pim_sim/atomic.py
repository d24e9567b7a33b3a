"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from pim_sim.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[TextIO]:
    """A text file that takes the place of ``path`` when the block ends well.

    Raises `InputError` naming the file where it cannot be written; nothing is left then.
    """
    with _partial(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_whole(path: str | Path, content: bytes) -> None:
    """A file of these bytes; `InputError` as `replacing`."""
    with _partial(path) as partial:
        partial.write_bytes(content)


@contextmanager
def _partial(path: str | Path) -> Iterator[Path]:
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):  # it is gone after the rename, or never came to be
            partial.unlink()
