"""Work shared between the threads that torch computes with.

Threads of one's own would compete with torch's, which go on spinning for a while after every
operation: on two cores loops in a pool of two take as long as in one. So where torch runs on GNU's
OpenMP, as its Linux builds do, the loops run on that library's threads; elsewhere on a pool.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import torch

Part = TypeVar("Part")
_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def in_threads(work: Callable[[int], Part], parts: int) -> list[Part]:
    """work(0) .. work(parts - 1), each on one of torch's threads; it should release the GIL.

    Raises what one of them raises, after the others have ended.
    """
    if parts == 1:
        return [work(0)]
    parallel = _openmp()
    if parallel is None:
        return list(_pool(parts).map(work, range(parts)))
    todo: Iterator[int] = iter(range(parts))
    done: dict[int, Part] = {}
    errors: list[BaseException] = []

    def take(_: Any) -> None:
        # The team may be smaller than asked for: whoever is free takes the next part.
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
    """GOMP_parallel of the library that torch itself is linked with; None where there is none."""
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
