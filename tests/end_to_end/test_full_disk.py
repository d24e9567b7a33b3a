"""A disk that fills up: exit 2, one line, whole files only, and a run that can be resumed."""

from __future__ import annotations

import contextlib
import json
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command, Finished, Refused, Results


@contextlib.contextmanager
def _files_up_to(size: int) -> Iterator[None]:
    """Have the kernel refuse files above `size` bytes: a full disk that needs no rights."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def _small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    mount = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if mount.returncode:
        pytest.skip(f"no right to mount a small disk ({mount.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_no_room_for_the_first_file(refused: Refused, quick: tuple[str, ...]) -> None:
    with _files_up_to(100):
        line = refused("run", *quick, "--output", "run")
    assert "run/config.toml: cannot be written (File too large)" in line


@pytest.fixture
def check_unfinished(
    snnquant: Command, results: Results, finished: Finished
) -> Callable[[tuple[int, str, str], Path], None]:
    """Check what a full disk left, and that the run ends as if the disk had had room."""

    def check(outcome: tuple[int, str, str], folder: Path) -> None:
        code, out, err = outcome
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert "cannot be written" in err.splitlines()[-1]
        whole, left = results(finished.folder), results(folder)
        assert {"config.toml", "split.npz"} <= set(left)
        assert not {"snn.safetensors", "metrics.json"} & set(left)
        for name in set(left) - {"history.csv"}:  # which grows with every stage
            assert name.endswith(".state.safetensors") or left[name] == whole[name], name
        resumed = snnquant("run", "--resume", folder, "--json")
        assert resumed.code == 0, resumed.err
        assert json.loads(resumed.out) | {"run": ""} == finished.metrics | {"run": ""}
        assert results(folder) == whole

    return check


@pytest.mark.parametrize("size", [2_000, 6_000])
def test_no_room_for_a_later_file(
    snnquant: Command, check_unfinished: Any, tmp_path: Path, quick: tuple[str, ...], size: int
) -> None:
    with _files_up_to(size):
        outcome = snnquant("run", *quick, "--output", tmp_path / "run")
    check_unfinished(outcome, tmp_path / "run")


def test_disk_that_fills_up(
    snnquant: Command,
    check_unfinished: Any,
    finished: Finished,
    tmp_path: Path,
    quick: tuple[str, ...],
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with _small_disk(disk, kilobytes=60):
        outcome = snnquant("run", *quick, "--output", disk / "run")
        assert "No space left on device" in outcome.err
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        check_unfinished(outcome, disk / "run")


def test_standard_output_that_is_full() -> None:
    command = [sys.executable, "-c", "from snnquant.cli import main; main()", "scenes", "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "snnquant: standard output: No space left on device\n"


def test_reader_that_leaves_early() -> None:
    python = shlex.quote(sys.executable)
    command = f"{python} -c 'from snnquant.cli import main; main()' scenes | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""
