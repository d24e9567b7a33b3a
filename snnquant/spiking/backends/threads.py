"""Work shared between the threads that torch computes with.

A separate thread pool would compete with torch's, whose threads keep spinning for a while after
every operation: on two cores loops in a pool of two take as long as in one. So where torch runs on
GNU's OpenMP, as its Linux builds do, the loops run on that library's threads, called through
ctypes; elsewhere, and where the environment variable ``SNNQUANT_OPENMP`` is 0, on a pool.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import torch

Part = TypeVar("Part")
OPENMP_VARIABLE = "SNNQUANT_OPENMP"
_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def in_threads(work: Callable[[int], Part], parts: int) -> list[Part]:
    """Run work(0) .. work(parts - 1) on torch's threads; it should release the GIL.

    Raises the exception of one of them after the others have ended.
    """
    if parts == 1:
        return [work(0)]
    parallel = None if os.environ.get(OPENMP_VARIABLE) == "0" else _openmp()
    if parallel is None:
        return list(_pool(parts).map(work, range(parts)))
    todo: Iterator[int] = iter(range(parts))
    done: dict[int, Part] = {}
    errors: list[BaseException] = []

    def take(_: Any) -> None:
        # The team may be smaller than asked for: whichever thread is free takes the next part.
        try:
            for part in todo:
                done[part] = work(part)
        except BaseException as error:  # cannot be raised through C
            errors.append(error)

    parallel(_CALL(take), None, parts, 0)
    if errors:
        raise errors[0]
    return [done[part] for part in range(parts)]


@cache
def _openmp() -> Any:
    """Return GOMP_parallel of the library that torch itself is linked with, or None without it."""
    try:
        function: Any = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (OSError, AttributeError):
        return None
    function.argtypes = [_CALL, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)
