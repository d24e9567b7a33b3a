"""A file is replaced whole or not at all, whatever goes wrong."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from snnquant.checkpoints import load_checkpoint, save_checkpoint
from snnquant.checkpoints.tensorfile import write_tensors
from snnquant.errors import InputError
from snnquant.io import replacing


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write puts half of its bytes down and finds the disk full."""
    whole = Path.write_bytes

    def half(path: Path, content: bytes) -> int:
        whole(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)


def refused(write: Callable[[], object], path: Path, says: str) -> None:
    with pytest.raises(InputError) as caught:
        write()
    assert str(caught.value) == f"{path}: cannot be written ({says})"


def test_a_full_disk_leaves_nothing_behind(tmp_path, checkpoint_of, full_disk):
    path = tmp_path / "network.safetensors"
    refused(lambda: save_checkpoint(path, checkpoint_of("cnn")), path, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_older_file(tmp_path, checkpoint_of, request):
    path = tmp_path / "network.safetensors"
    save_checkpoint(path, checkpoint_of("cnn", 1))
    before = path.read_bytes()
    request.getfixturevalue("full_disk")
    refused(lambda: save_checkpoint(path, checkpoint_of("cnn", 2)), path, "No space left on device")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert load_checkpoint(path).split_digest == "split 1"


def test_a_missing_folder_is_made(tmp_path):
    path = tmp_path / "runs" / "today" / "state.safetensors"
    write_tensors(path, {"weight": torch.ones(2)}, {})
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("a file")
    path = tmp_path / "runs" / "state.safetensors"
    with pytest.raises(InputError, match="cannot be written"):
        write_tensors(path, {"weight": torch.ones(2)}, {})
    below = path / "deeper"
    with pytest.raises(InputError, match="cannot be written"):
        write_tensors(below, {"weight": torch.ones(2)}, {})
    assert (tmp_path / "runs").read_text() == "a file"


def test_a_folder_in_the_place_of_the_file_stays(tmp_path):
    path = tmp_path / "state.safetensors"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be written"):
        write_tensors(path, {"weight": torch.ones(2)}, {})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert (path / "inside").is_dir()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into every folder")
def test_a_read_only_folder_is_one_line(tmp_path):
    path = tmp_path / "state.safetensors"
    tmp_path.chmod(0o500)
    try:
        refused(lambda: write_tensors(path, {}, {}), path, os.strerror(errno.EACCES))
        assert list(tmp_path.iterdir()) == []
    finally:
        tmp_path.chmod(0o700)


def test_a_read_only_file_system_is_one_line(tmp_path, monkeypatch):
    """Even removing a missing file fails on it."""

    def read_only(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    path = tmp_path / "state.safetensors"
    for method in ("write_bytes", "mkdir", "unlink", "replace"):
        monkeypatch.setattr(Path, method, read_only)
    refused(lambda: write_tensors(path, {}, {}), path, "Read-only file system")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_a_writer_that_is_stopped_leaves_the_older_file(tmp_path, stop):
    path = tmp_path / "report.html"
    path.write_text("older")

    def write() -> None:
        with replacing(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == path.suffix
            temporary.write_text("half")
            raise stop

    with pytest.raises(stop):
        write()
    assert path.read_text() == "older"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_readers_see_the_older_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("older")
    with replacing(path) as temporary:
        temporary.write_text("newer")
        assert path.read_text() == "older"
    assert path.read_text() == "newer"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
