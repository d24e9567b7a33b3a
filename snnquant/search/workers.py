"""Jobs on run folders: in this process, on this machine's cores, or on a Dask cluster.

joblib, which scikit-learn is built on, starts the processes and stops them on Ctrl-C. Workers of a
cluster need neither the search's folder nor the scene's files: a job takes the files of its folder
with it and returns those that it wrote.
"""

from __future__ import annotations

import functools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool

from pim_sim.cluster import computed, connected
from snnquant.errors import InputError
from snnquant.io import one_line, replacing

Job = Callable[[Path], None]
"""Works in a prepared run folder."""
PACKAGES = ("snnquant", "pim_sim")
"""Packages that workers of a cluster must have with the same code."""


def finished(
    job: Job, folders: Sequence[Path], processes: int, scheduler: str | None = None
) -> Iterator[Path]:
    """Do a job in every folder; yield the folders as they are done.

    Args:
        job: The job; pickled where it runs elsewhere.
        folders: Prepared folders.
        processes: Processes on this machine; 0 for one per core. Unused on a cluster.
        scheduler: Address of a Dask scheduler.

    Raises:
        InputError: As the job does; or where a process is killed, and where the cluster is missing
            or runs other code.
    """
    processes = processes or joblib.cpu_count()
    if scheduler is not None:
        yield from _on_cluster(job, folders, scheduler)
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
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_cluster(job: Job, folders: Sequence[Path], scheduler: str) -> Iterator[Path]:
    calls = ((folder, (job, _files(folder))) for folder in folders)
    with connected(scheduler) as client:
        for folder, files in computed(client, PACKAGES, _elsewhere, calls):
            for name, content in sorted(files.items()):
                with replacing(folder / name) as temporary:
                    temporary.write_bytes(content)
            yield folder


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _elsewhere(job: Job, files: dict[str, bytes]) -> dict[str, bytes]:
    """Do a job on a machine that lacks the folder; return its new and its changed files."""
    with tempfile.TemporaryDirectory() as made:
        for name, content in files.items():
            (Path(made) / name).write_bytes(content)
        job(Path(made))
        found = _files(Path(made))
    return {name: found[name] for name in found if found[name] != files.get(name)}
