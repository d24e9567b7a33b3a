"""The registry of file formats, and arrays read from files of any of them.

A reader is one decorated function, here or in a plugin outside of the package:

    @register_reader("GRID", suffixes=(".grid",), signatures=(b"GRID 1",))
    def read_grid(path: Path, variable: str | None) -> NDArray[Any]:
        ...

A file is read by a format whose signature stands in it, preferably one that also has its suffix,
else by a format without signatures that has its suffix. Of several the last registered reads it, so
that a plugin can replace a reader of the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pim_sim.registry import Registry
from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.scenes.readers.band_files import band_paths, stack, stack_header
from snnquant.scenes.readers.header import CubeHeader

AXES = ("row", "column", "band")
"""Order of the axes of all arrays that readers return."""

Read: TypeAlias = Callable[[Path, str | None], NDArray[Any]]
"""Read an array [rows, columns] or [rows, columns, bands] from a path, by name where asked."""


ReadHeader: TypeAlias = Callable[[Path, str | None], CubeHeader]
"""Read the header of the array that `Read` returns for the same arguments."""


def _only_itself(path: Path) -> list[Path]:
    return [path]


def _says_nothing(path: Path, variable: str | None) -> CubeHeader:
    return CubeHeader()


def _nothing_beside(path: Path) -> Path | None:
    return None


@dataclass(frozen=True)
class Reader:
    """A file format: its reader, and the marks of its files."""

    name: str
    """As messages call the format."""
    read: Read
    suffixes: tuple[str, ...] = ()
    """Usual endings of file names, lower case with the dot."""
    signatures: tuple[bytes, ...] = ()
    """First bytes of its files; a format without any is known by its suffix."""
    offsets: tuple[int, ...] = (0,)
    """Places at which a signature may stand."""
    named: bool = False
    """True if a file holds arrays by name; otherwise a variable is refused."""
    files: Callable[[Path], list[Path]] = _only_itself
    """Lists all files that the array at a path consists of."""
    header: ReadHeader = _says_nothing
    """Reads wavelengths, no-data value and so on."""
    stored: Read | None = None
    """Reads the array with its axes as stored, for a card that names them; None where `read`
    does."""
    beside: Callable[[Path], Path | None] = _nothing_beside
    """Finds the file to read in place of one of unknown content, such as a header beside it."""

    def marks(self, head: bytes) -> bool:
        """Tell whether a signature of the format stands in the first bytes of a file."""
        return any(head.startswith(mark, at) for mark in self.signatures for at in self.offsets)

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.suffixes)})" if self.suffixes else self.name


READERS: Registry[Reader] = Registry("scene reader")
"""The only list of formats, by name."""


def register_reader(
    name: str,
    *,
    suffixes: tuple[str, ...] = (),
    signatures: tuple[bytes, ...] = (),
    offsets: tuple[int, ...] = (0,),
    named: bool = False,
    files: Callable[[Path], list[Path]] = _only_itself,
    header: ReadHeader = _says_nothing,
    stored: Read | None = None,
    beside: Callable[[Path], Path | None] = _nothing_beside,
) -> Callable[[Read], Read]:
    """Decorate a function `read(path, variable)` to add a file format.

    The function returns an array [rows, columns] or [rows, columns, bands], in the file's own
    type. What it or its libraries raise on a damaged file becomes one `InputError`.

    Args:
        name: The format, as messages call it.
        suffixes: Usual endings of its files, lower case with the dot.
        signatures: First bytes of its files; without any, the suffix tells.
        offsets: Places at which a signature may stand, in bytes from the start.
        named: Whether a file holds arrays by name; otherwise `variable` is always None.
        files: Lists all files that belong to a path, where there are several.
        header: Reads the file's statements about the array, from the same arguments.
        stored: Reads the array with its axes as stored, where the function orders them itself.
        beside: Finds the file to read in place of one of unknown content, such as a header.

    Returns:
        The decorator, which returns the function as it is.

    Raises:
        InputError: The name is taken, or neither suffixes nor signatures are given.

    >>> import tempfile
    >>> @register_reader("LINE", signatures=(b"LINE",))
    ... def read_line(path, variable):
    ...     return np.array([path.read_text().split()[1:]], dtype=int)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "one.txt"
    ...     _ = path.write_text("LINE 3 4 5")
    ...     read_array(path)
    array([[3, 4, 5]])
    """
    if not suffixes and not signatures:
        raise InputError(f"scene reader {name!r}: found no mark, expected suffixes or signatures")

    def add(read: Read) -> Read:
        reader = Reader(
            name, read, suffixes, signatures, offsets, named, files, header, stored, beside
        )
        READERS.register(name)(reader)
        return read

    return add


def read_array(path: Path, variable: str | None = None, axes: str | None = None) -> NDArray[Any]:
    """Read one array from a file of any registered format.

    Large .npy, ENVI and uncompressed .mat files come as read-only memory maps.

    Args:
        path: The file; of an ENVI image the header. A pattern ("EO1H*_B*_L1T.TIF") or a list
            ("{b1.tif,b2.tif}") as its name stands for one file per band.
        variable: Name of the array where the format has names (.mat, .npz, HDF5); a file that
            holds only one needs none.
        axes: Order of the axes in the file, a permutation of "row column band" (or of "row
            column"); by default as the format has it.

    Returns:
        [rows, columns] or [rows, columns, bands], in the file's own type.

    Raises:
        InputError: The file is missing, damaged or of no known format, holds no array of that
            name (lists those it holds), or holds values that are not real numbers.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "cube.npy"
    ...     np.save(path, np.zeros((2, 3, 4), np.int16))
    ...     read_array(path).shape
    (2, 3, 4)
    """
    bands = band_paths(path)
    if bands is not None:
        return stack(path, bands, lambda band: read_array(band, variable, axes))
    reader, path = _reader_of(path)
    if variable is not None and not reader.named:
        raise InputError(
            f"{path}: found variable {variable}, expected none: {reader.name} holds one array"
        )
    with damage_on_one_line(path, reader.name):
        read = reader.read if axes is None or reader.stored is None else reader.stored
        array: NDArray[Any] = np.asanyarray(read(path, variable))
        if axes is not None:
            array = _in_our_order(array, axes)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: found {array.dtype} values, expected integers or real numbers")
    return array


def _in_our_order(array: NDArray[Any], axes: str) -> NDArray[Any]:
    order, words = AXES[: array.ndim], [word.removesuffix("s") for word in axes.split()]
    if sorted(words) != sorted(order):
        raise InputError(f"found an array of shape {array.shape}, expected the axes {axes}")
    return np.transpose(array, [words.index(axis) for axis in order])


def read_header(path: Path, variable: str | None = None) -> CubeHeader:
    """Read the statements of a file about the array that `read_array` returns.

    Args:
        path: The file.
        variable: Name of the array, as for `read_array`.

    Returns:
        The header; its fields are None where the file, or the format's reader, says nothing.

    Raises:
        InputError: As for `read_array`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "cube.npy"
    ...     np.save(path, np.zeros((2, 3, 4)))
    ...     read_header(path).nodata is None
    True
    """
    bands = band_paths(path)
    if bands:
        return stack_header(bands, read_header(bands[0], variable))
    reader, path = _reader_of(path)
    with damage_on_one_line(path, reader.name):
        return reader.header(path, variable)


def content_files(path: Path) -> list[Path]:
    """Return the files that an array at `path` consists of, such as header and binary file.

    Raises `InputError` as `read_array` does for a missing or unknown file.
    """
    bands = band_paths(path)
    if bands:
        return [file for band in bands for file in content_files(band)]
    reader, path = _reader_of(path)
    with damage_on_one_line(path, reader.name):
        return reader.files(path)


def choose_variable(path: Path, held: Mapping[str, tuple[int, ...]], variable: str | None) -> str:
    """Return the name of the array to read, out of those that a file holds with their shapes.

    Raises `InputError`, which lists them, where the name is missing or needed.
    """
    listing = ", ".join(f"{name} {shape}" for name, shape in held.items()) or "no array"
    if variable is None:
        if len(held) == 1:
            return next(iter(held))
        raise InputError(f"{path}: found {listing}, expected the card to name one as variable")
    if variable not in held:
        raise InputError(f"{path}: found {listing}, expected the variable {variable}")
    return variable


def _reader_of(path: Path) -> tuple[Reader, Path]:
    """Return the reader of a file, and the file to read: itself, or a header beside it."""
    readers = list(READERS)
    head = _head(path, readers)
    marked = [reader for reader in readers if reader.marks(head)]
    by_suffix = [reader for reader in readers if path.name.lower().endswith(reader.suffixes)]
    unmarked = [reader for reader in by_suffix if not reader.signatures]
    candidates = [reader for reader in marked if reader in by_suffix] or marked or unmarked
    if candidates:
        return candidates[-1], path
    for reader in readers:
        header = reader.beside(path) if path.is_file() else None
        if header is not None and header != path:
            return _reader_of(header)
    found = f"{head[:8]!r} at its start" if head else "an empty file"
    known = ", ".join(str(reader) for reader in readers)
    raise InputError(f"{path}: found {found}, expected a file of one of the formats {known}")


def _head(path: Path, readers: list[Reader]) -> bytes:
    marks = [
        (mark, at) for reader in readers for mark in reader.signatures for at in reader.offsets
    ]
    try:
        with path.open("rb") as file:
            return file.read(max((at + len(mark) for mark, at in marks), default=0))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


@contextmanager
def damage_on_one_line(path: Path, name: str) -> Iterator[None]:
    """Turn any exception of a reader of the format `name` into an `InputError` that names the file.

    A message that has the path already is kept as it is.
    """
    try:
        yield
    except InputError as error:
        message = str(error)
        if not message.isprintable():  # a damaged name out of the file
            message = "".join(char if char.isprintable() else "?" for char in message)
        raise InputError(message if str(path) in message else f"{path}: {message}") from error
    except ImportError as error:
        needed = error.name or one_line(error)
        raise InputError(f"{path}: {needed} is missing, expected it to read {name}") from error
    # On damaged bytes the parsers of the libraries raise nearly any exception.
    except Exception as error:
        reason = one_line(error)
        if not isinstance(error, (OSError, ValueError)):
            reason = f"{type(error).__name__}: {reason}"
        raise InputError(
            f"{path}: found damage ({reason}), expected a whole {name} file"
        ) from error
