"""Tasks on the workers of a Dask cluster, for every command that has `--scheduler`."""

from __future__ import annotations

import functools
import hashlib
import importlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pim_sim.errors import InputError
from pim_sim.io import one_line, require_extra

WAIT_S = 30
"""Time for a scheduler to answer, and to have a worker."""
_FAILURES = (ImportError, OSError, RuntimeError, CancelledError)
"""Errors of a cluster that lacks a package, or goes away."""
Key = TypeVar("Key")


@contextmanager
def connected(scheduler: str | None) -> Iterator[Any]:
    """Yield the client of a Dask scheduler that has a worker.

    Args:
        scheduler: Its address; by default Dask starts a cluster on the cores of this machine.

    Raises:
        InputError: distributed is missing, no scheduler answers, or it has no worker in time; and
            in the block where a worker fails.
    """
    (distributed,) = require_extra("sweep", "distributed")
    if scheduler is None:
        with (
            distributed.LocalCluster(
                threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=WAIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: {one_line(error)}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError:
            raise InputError(f"--scheduler {scheduler}: no worker within {WAIT_S} s") from None
        yield client


def computed(
    client: Any,
    packages: tuple[str, ...],
    function: Callable[..., Any],
    calls: Iterable[tuple[Key, tuple[Any, ...]]],
) -> Iterator[tuple[Key, Any]]:
    """Call a function on the workers; yield keys and results as they are done.

    Few calls wait at a time, to spare the memory of workers. A call whose worker is lost is made
    again on another.

    Args:
        client: Client of `connected`.
        packages: Packages that workers must have with the same code and data as this process.
        function: The function; importable on the workers.
        calls: A key for the result, and the arguments of the call.

    Raises:
        InputError: As the function does; or where a worker fails or has other code.
    """
    (distributed,) = require_extra("sweep", "distributed")
    code = code_digest(*packages)
    keys: dict[Any, Key] = {}

    def begin(key: Key, arguments: tuple[Any, ...]) -> Any:
        future = client.submit(with_equal_code, code, packages, function, *arguments, pure=False)
        keys[future] = key
        return future

    left = iter(calls)
    at_once = 2 * sum(client.nthreads().values())
    first = [begin(*call) for call in itertools.islice(left, at_once)]
    waiting = distributed.as_completed(first, loop=client.loop)
    for future in waiting:
        with worker_failures():
            result = future.result()
        yield keys.pop(future), result
        if (call := next(left, None)) is not None:
            waiting.add(begin(*call))


@contextmanager
def worker_failures() -> Iterator[None]:
    """Turn the failure of a worker into an `InputError` that says how to resume."""
    (distributed,) = require_extra("sweep", "distributed")
    try:
        yield
    except (*_FAILURES, distributed.KilledWorker) as error:
        raise InputError(
            f"--scheduler: a worker failed ({one_line(error)}); rerun the command to resume"
        ) from None


def with_equal_code(
    code: str, packages: tuple[str, ...], function: Callable[..., Any], *arguments: Any
) -> Any:
    """Call a function on a worker; raise `InputError` where its packages differ from `code`."""
    if code != code_digest(*packages):
        raise InputError(
            f"--scheduler: a worker has another version of {packages[0]}, expected this one"
        )
    return function(*arguments)


@functools.cache
def code_digest(*packages: str) -> str:
    """Return the SHA-256 of the code and data of packages: equal ones compute alike.

    >>> len(code_digest("pim_sim"))
    64
    """
    digest = hashlib.sha256()
    for package in packages:
        folder = Path(str(importlib.import_module(package).__file__)).parent
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".csv", ".json", ".toml"):
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
