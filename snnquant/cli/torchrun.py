"""Processes that torchrun started: they train together, and the first has the run's folder."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from snnquant.errors import InputError

if TYPE_CHECKING:
    from snnquant.cli.options import RunOptions
    from snnquant.pipeline.run import Progress


def join(options: RunOptions, progress: Progress) -> tuple[RunOptions, Progress]:
    """Join the processes of torchrun, if it started this one.

    Returns:
        The options and progress of this process: the first works in the run's folder, the others
        silently in temporary copies, since every stage needs the networks of those before.

    Raises:
        InputError: For a CUDA device, where the processes would meet.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        return options, progress
    if options.device == "cuda":
        raise InputError("--device: found cuda under torchrun, expected cpu or auto")
    from torch import distributed

    distributed.init_process_group("gloo")
    atexit.register(distributed.destroy_process_group)
    options = replace(options, device="cpu")
    if distributed.get_rank() > 0:
        folder = Path(tempfile.mkdtemp(prefix="snnquant-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        options, progress = _in_folder(options, folder / "run"), lambda *_: None
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    distributed.barrier()  # the folder to resume is copied before the first process changes it
    return options, progress


def _in_folder(options: RunOptions, folder: Path) -> RunOptions:
    if options.resume is None:
        return replace(options, output=folder, track=())
    if options.resume.is_dir():
        shutil.copytree(options.resume, folder)
    return replace(options, resume=folder, track=())
