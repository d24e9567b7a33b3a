"""What the readers share: one wording for a damaged file, one for a wrong variable name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from snnquant.errors import InputError


@contextmanager
def reading(path: Path, kind: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what a library raises on a damaged file into one line."""
    damage: tuple[type[Exception], ...] = (OSError, ValueError, MemoryError, *errors)
    try:
        yield
    except InputError:
        raise
    except damage as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: found damage ({reason}), expected a whole {kind} file"
        ) from error


def choose(path: Path, held: Mapping[str, tuple[int, ...]], variable: str | None) -> str:
    """The name of the array to read, out of those that the file holds with their shapes."""
    listing = ", ".join(f"{name} {shape}" for name, shape in held.items()) or "no array"
    if variable is None:
        if len(held) == 1:
            return next(iter(held))
        raise InputError(f"{path}: found {listing}, expected the card to name one as variable")
    if variable not in held:
        raise InputError(f"{path}: found {listing}, expected the variable {variable}")
    return variable


def refuse_variable(path: Path, variable: str | None, kind: str) -> None:
    """A card that names a variable in a file without names has mixed something up."""
    if variable is not None:
        raise InputError(
            f"{path}: found variable {variable}, expected none: {kind} holds one array"
        )
