"""Jobs on run folders: in this process, on this machine's cores, or on a Dask cluster.

joblib, which scikit-learn is built on, starts the processes and stops them on Ctrl-C. Workers of a
cluster need neither the search's folder nor the scene's files: a job takes the files of its folder
with it and returns those that it wrote.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool

import pim_sim
import snnquant
from snnquant.errors import InputError
from snnquant.io import one_line, replacing, require_extra

Job = Callable[[Path], None]
"""Works in a prepared run folder."""
WAIT_S = 30
"""Time for a scheduler to answer, and to have a worker."""


def finished(
    job: Job, folders: Sequence[Path], processes: int, dask: str | None = None
) -> Iterator[Path]:
    """Do a job in every folder; yield the folders as they are done.

    Args:
        job: The job; pickled where it runs elsewhere.
        folders: Prepared folders.
        processes: Processes on this machine; 0 for one per core. Unused on a cluster.
        dask: Address of a Dask scheduler.

    Raises:
        InputError: As the job does; or where a process is killed, and where the cluster is missing
            or runs other code.
    """
    processes = processes or joblib.cpu_count()
    if dask is not None:
        yield from _on_cluster(job, folders, dask)
    elif processes == 1 or len(folders) < 2:
        for folder in folders:
            job(folder)
            yield folder
    else:
        with joblib.parallel_config("loky", n_jobs=processes, inner_max_num_threads=1):
            here = os.getpid()
            calls = [joblib.delayed(_in_place)(job, folder, here) for folder in folders]
            try:
                yield from _parallel(max_nbytes=None)(calls)
            except BrokenProcessPool as error:
                raise InputError(
                    f"--workers {processes}: a process was killed, as where memory is short "
                    f"({one_line(error, 80)}); rerun the command to resume"
                ) from None


def _parallel(**options: Any) -> Any:
    # One job at a time per process: they take minutes, not milliseconds.
    return joblib.Parallel(return_as="generator_unordered", batch_size=1, **options)


def _in_place(job: Job, folder: Path, parent: int) -> Path:
    _end_with(parent)
    job(folder)
    return folder


@functools.cache
def _end_with(parent: int) -> None:
    """End this process soon after its parent, which may be killed and its command rerun."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_cluster(job: Job, folders: Sequence[Path], dask: str) -> Iterator[Path]:
    code = code_digest()
    with _client(dask) as client, joblib.parallel_config("dask", client=client):
        calls = (
            joblib.delayed(_elsewhere)(job, folder, _files(folder), code) for folder in folders
        )
        (distributed,) = require_extra("sweep", "distributed")
        try:
            for folder, files in _parallel()(calls):
                for name, content in sorted(files.items()):
                    with replacing(folder / name) as temporary:
                        temporary.write_bytes(content)
                yield folder
        except (OSError, RuntimeError, distributed.KilledWorker) as error:
            found = f"a worker failed ({one_line(error)}); rerun the command to resume"
            raise InputError(f"--dask {dask}: {found}") from None


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _elsewhere(
    job: Job, folder: Path, files: dict[str, bytes], code: str
) -> tuple[Path, dict[str, bytes]]:
    """Do a job on a machine that lacks the folder; return its new and its changed files."""
    if code != code_digest():
        raise InputError("--dask: a worker has another version of snnquant, expected this one")
    with tempfile.TemporaryDirectory() as made:
        for name, content in files.items():
            (Path(made) / name).write_bytes(content)
        job(Path(made))
        found = _files(Path(made))
    return folder, {name: found[name] for name in found if found[name] != files.get(name)}


@contextmanager
def _client(dask: str) -> Iterator[Any]:
    (distributed,) = require_extra("sweep", "distributed")
    try:
        client = distributed.Client(dask, timeout=WAIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--dask {dask}: {one_line(error)}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError:
            raise InputError(f"--dask {dask}: no worker within {WAIT_S} s") from None
        yield client


@functools.cache
def code_digest() -> str:
    """Return the SHA-256 of the code and data of both packages: equal ones train alike."""
    digest = hashlib.sha256()
    for package in (snnquant, pim_sim):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".csv", ".json", ".toml"):
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
