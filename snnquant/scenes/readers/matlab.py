"""MATLAB 5 files (-v6 and -v7), parsed here: scipy's reader can end the process on damaged ones.

Every size that the file names is checked against the bytes that it holds before memory is taken.
Full arrays of real numbers are read; others are only listed.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.formats import choose_variable, register_reader

_HEADER = 128
_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
_HDF5_MARKS = (b"\x00\x02IM", b"\x02\x00MI")
# Numbers of element types, and of array classes from 1.
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8"}
_DTYPES[13] = "u8"
NUMERIC = (
    "double",
    "single",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
)
_KINDS = ("cell", "struct", "object", "char", "sparse", *NUMERIC, "function", "opaque")
_OPAQUE = 17
_COMPLEX = 0x0800
_MAX_HEAD = 4096
"""Bytes of a name or of a list of dimensions: MATLAB's are far shorter."""
_BLOCK = 1 << 16
_MAX_RATIO = 1032
"""The best compression that zlib reaches."""

Take: TypeAlias = Callable[[int], bytes]
"""Return the next n bytes of an element; raise `InputError` where it ends before."""


@dataclass(frozen=True)
class _Array:
    name: str
    kind: str
    shape: tuple[int, ...]
    start: int
    """First byte of its element in the file, after the tag."""
    size: int
    """Bytes of its element."""
    compressed: bool
    head: int
    """Bytes of the element, decompressed, that precede the values."""


@register_reader("MAT 5", suffixes=(".mat",), signatures=(b"MATLAB",), named=True)
def read_mat5(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an array, a memory map where the file is not compressed; see `read_array`."""
    with path.open("rb") as file:
        order = _byte_order(file.read(_HEADER))
        held = {array.name: array for array in _arrays(file, order)}
        shapes = {name: array.shape for name, array in held.items()}
        chosen = held[choose_variable(path, shapes, variable)]
        if chosen.kind not in NUMERIC:
            raise InputError(f"found {chosen.kind} values, expected integers or real numbers")
        return _values(path, file, chosen, order)


def _byte_order(header: bytes) -> str:
    mark = header[124:]
    if mark in _HDF5_MARKS:
        raise InputError("found no HDF5 signature after the header, expected one in MATLAB 7.3")
    if mark not in _ORDERS:
        raise InputError(f"found {mark!r} at byte 124, expected the version mark of MATLAB 5")
    return _ORDERS[mark]


def _arrays(file: BinaryIO, order: str) -> Iterator[_Array]:
    end = os.fstat(file.fileno()).st_size
    position = _HEADER
    while position < end:
        file.seek(position)
        kind, size = struct.unpack(f"{order}II", _from_file(file, end)(8))
        start, position = position + 8, position + 8 + size
        if position > end:
            raise InputError(f"found an element of {size} bytes at byte {start}, expected less")
        compressed = kind == _COMPRESSED
        take = _Inflated(file, size) if compressed else _from_file(file, position)
        if compressed:
            (kind,) = struct.unpack(f"{order}I4x", take(8))
        if kind != _MATRIX:
            raise InputError(f"found an element of type {kind} at byte {start}, expected an array")
        array = _array(take, order, start, size, compressed)
        if array.name:  # one without a name holds the workspaces of functions
            yield array


def _array(take: Take, order: str, start: int, size: int, compressed: bool) -> _Array:
    head = 8 if compressed else 0

    def element(*types: int) -> bytes:
        nonlocal head
        kind, content, length = _element(take, order)
        head += length
        if kind not in types:
            raise InputError(f"found an element of type {kind} in an array, expected {types[0]}")
        return content

    flags = element(_UINT32)
    (flag,) = struct.unpack_from(f"{order}I", flags)
    number = flag & 0xFF
    if not 1 <= number <= len(_KINDS):
        raise InputError(f"found an array of class {number}, expected 1 to {len(_KINDS)}")
    if number == _OPAQUE:
        return _Array("", "opaque", (), start, size, compressed, head)
    dimensions = element(_INT32)
    shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
    if len(shape) < 2 or min(shape) < 0:
        raise InputError(f"found an array of shape {shape}, expected two sizes or more")
    name = element(_INT8, _UTF8).decode("latin-1")
    kind = f"complex {_KINDS[number - 1]}" if flag & _COMPLEX else _KINDS[number - 1]
    return _Array(name, kind, shape, start, size, compressed, head)


def _tag(take: Take, order: str) -> tuple[int, int, bytes | None]:
    """Return type and size of an element; and its content, where the tag has room for it."""
    first, second = take(4), take(4)
    (word,) = struct.unpack(f"{order}I", first)
    if word >> 16 == 0:
        (size,) = struct.unpack(f"{order}I", second)
        return word, size, None
    if word >> 16 > 4:
        raise InputError(f"found {word >> 16} bytes in a small element, expected at most 4")
    return word & 0xFFFF, word >> 16, second[: word >> 16]


def _element(take: Take, order: str) -> tuple[int, bytes, int]:
    """Return type and content of an element, and the bytes that it takes."""
    kind, size, content = _tag(take, order)
    if content is not None:
        return kind, content, 8
    if size > _MAX_HEAD:
        raise InputError(f"found {size} bytes before the values, expected at most {_MAX_HEAD}")
    padded = -(-size // 8) * 8
    return kind, take(padded)[:size], 8 + padded


def _values(path: Path, file: BinaryIO, array: _Array, order: str) -> NDArray[Any]:
    file.seek(array.start)
    inflated = _Inflated(file, array.size) if array.compressed else None
    take = inflated or _from_file(file, array.start + array.size)
    take(array.head)
    kind, size, content = _tag(take, order)
    if kind not in _DTYPES:
        raise InputError(f"found values of type {kind}, expected integers or real numbers")
    dtype = np.dtype(f"{order}{_DTYPES[kind]}")
    expected = math.prod(array.shape) * dtype.itemsize
    if size != expected:
        raise InputError(f"found {size} bytes of {array.name}, expected {expected}")
    if content is not None or size == 0:
        return np.ndarray(array.shape, dtype, content or b"", order="F")
    if inflated is None:
        place = file.tell()
        if place + size > array.start + array.size:
            raise InputError(f"found the end of {array.name}, expected {size} bytes of values")
        return np.memmap(path, dtype, "r", place, array.shape, order="F")
    if size > array.size * _MAX_RATIO:
        raise InputError(f"found {array.size} bytes, expected those of {size} bytes of values")
    values, at = np.empty(size, np.uint8), 0
    while at < size:
        part = inflated.some(size - at)
        values[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    inflated.finish()
    return values.view(dtype).reshape(array.shape, order="F")


def _from_file(file: BinaryIO, end: int) -> Take:
    def take(count: int) -> bytes:
        if file.tell() + count > end:
            raise InputError(f"found its end at byte {end}, expected {count} bytes more")
        return file.read(count)

    return take


class _Inflated:
    """The next `size` bytes of a file, which zlib compressed."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        self._inflate = zlib.decompressobj()

    def __call__(self, count: int) -> bytes:
        parts, missing = [], count
        while missing > 0:
            parts.append(self.some(missing))
            missing -= len(parts[-1])
        return b"".join(parts)

    def some(self, most: int) -> bytes:
        """Return at least one byte and at most that many."""
        while True:
            raw = self._inflate.unconsumed_tail or self._next_block()
            part = self._inflate.decompress(raw, most)
            if part:
                return part
            if not raw:
                raise InputError(f"found the end of compressed data, expected {most} bytes more")

    def finish(self) -> None:
        """Read the padding and the checksum, which zlib compares."""
        raw = self._inflate.unconsumed_tail or self._next_block()
        while raw and not self._inflate.eof:
            self._inflate.decompress(raw, _BLOCK)
            raw = self._inflate.unconsumed_tail or self._next_block()
        if not self._inflate.eof:
            raise InputError("found no end of compressed data, expected a whole array")

    def _next_block(self) -> bytes:
        raw = self._file.read(min(self._left, _BLOCK))
        self._left -= len(raw)
        return raw
