"""A wrong run or checkpoint: exit 2, one line, and nothing left on disk."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from snnquant.checkpoints.tensorfile import read_tensors, write_tensors

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Finished, Refused

# --- run directories -----------------------------------------------------------------------------


def test_output_that_is_taken(refused: Refused, tmp_path: Path, quick: tuple[str, ...]) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    line = refused("run", *quick, "--output", "taken")
    assert "taken" in line
    assert "not empty" in line
    assert "notes.txt" in refused("run", *quick, "--output", "taken/notes.txt")


def test_output_that_cannot_be_written(
    refused: Refused, tmp_path: Path, quick: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert "file/run" in refused("run", *quick, "--output", "file/run")
    assert "/proc/run" in refused("run", *quick, "--output", "/proc/run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_output_in_a_folder_without_permission(
    refused: Refused, tmp_path: Path, quick: tuple[str, ...]
) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "locked" in refused("run", *quick, "--output", "locked/run")


@pytest.mark.parametrize(
    "options",
    [
        ["--bits", "4"],
        ["--bits", "6"],
        ["--seed", "0"],
        ["--output", "new"],
        ["--config", "c.toml"],
    ],
    ids=" ".join,
)
def test_resume_beside_other_options(
    refused: Refused, copy: Path, tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "c.toml").write_text("bits = 6\n")
    line = refused("run", "--resume", copy, *options)
    assert "--resume" in line
    assert "other options" in line


@pytest.mark.parametrize("subcommand", [["run", "--resume"], ["evaluate"], ["finetune"], ["map"]])
def test_folder_that_is_no_run(refused: Refused, tmp_path: Path, subcommand: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "away" in refused(*subcommand, "away")
    assert "config.toml" in refused(*subcommand, "empty")
    (tmp_path / "file").write_text("mine")
    assert "file" in refused(*subcommand, "file")


@pytest.mark.parametrize(
    ("text", "word"), [("bits = 9\n", "bits"), ("bits =", "TOML"), ("bitz = 4\n", "bitz")]
)
def test_run_with_a_damaged_config(refused: Refused, copy: Path, text: str, word: str) -> None:
    (copy / "config.toml").write_text(text)
    line = refused("run", "--resume", copy)
    assert "config.toml" in line
    assert word in line


def test_run_with_a_damaged_split(refused: Refused, copy: Path) -> None:
    path = copy / "split.npz"
    path.write_bytes(path.read_bytes()[:-20])
    assert "split.npz" in refused("evaluate", copy)
    with path.open("wb") as file:
        np.savez(file, train=np.array([print], dtype=object))
    assert "split.npz" in refused("evaluate", copy)


def test_run_whose_options_were_changed(refused: Refused, copy: Path) -> None:
    path = copy / "config.toml"
    text = path.read_text()
    path.write_text(text.replace("seed = 0", "seed = 1"))
    assert "split.npz" in refused("run", "--resume", copy)
    path.write_text(text.replace('model = "cnn1x1"', 'model = "cnn3d"'))
    assert "cnn.safetensors" in refused("evaluate", copy, progress=True)


@pytest.mark.parametrize("subcommand", ["evaluate", "energy", "finetune", "convert", "map"])
def test_subcommands_before_their_time(refused: Refused, copy: Path, subcommand: str) -> None:
    for path in copy.glob("*.safetensors"):
        path.unlink()
    assert "expected" in refused(subcommand, copy, progress=True)


# --- checkpoints ---------------------------------------------------------------------------------


def _another_version(path: Path) -> None:
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"format": 99})


def _another_kind(path: Path) -> None:
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"what": "training"})


def _another_model(path: Path) -> None:
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"model": header["model"] | {"name": "cnn3d"}})


def _without_a_header(path: Path) -> None:
    torch.save({}, path)
    path.write_bytes((2).to_bytes(8, "little") + b"{}")


def _with_a_nan(path: Path) -> None:
    tensors, header = read_tensors(path)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    write_tensors(path, tensors, header)


def _with_a_flipped_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


class Evil:
    """A pickle that would write a file when it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (Path("executed"),))


def _pickled(path: Path) -> None:
    torch.save({"conv1.weight": Evil()}, path)


def _pickled_by_hand(path: Path) -> None:
    path.write_bytes(pickle.dumps(Evil()))


DAMAGES = [
    (_another_version, "format 99"),
    (_another_kind, "training"),
    (_another_model, "cnn3d"),
    (_without_a_header, "header"),
    (_with_a_nan, "NaN"),
    (_with_a_flipped_bit, "sha256"),
    (_truncated, "damaged"),
    (_emptied, "damaged"),
    (_pickled, "pickle"),
    (_pickled_by_hand, "expected a safetensors checkpoint"),
]


@pytest.mark.parametrize(("damage", "word"), DAMAGES)
def test_damaged_checkpoint_in_a_run(
    refused: Refused, copy: Path, tmp_path: Path, damage: Any, word: str
) -> None:
    damage(copy / "cnn.safetensors")
    line = refused("evaluate", copy, progress=True)
    assert "cnn.safetensors" in line
    assert word in line
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("damage", [_another_model, _with_a_flipped_bit, _truncated, _emptied])
def test_damaged_checkpoint_to_import(
    refused: Refused, copy: Path, quick: tuple[str, ...], damage: Any
) -> None:
    damage(copy / "cnn.safetensors")
    assert "cnn.safetensors" in refused("convert", copy / "cnn.safetensors", *quick)


@pytest.mark.parametrize("name", ["cnn_quantized", "snn"])
def test_checkpoint_that_is_no_32_bit_cnn(
    refused: Refused, finished: Finished, quick: tuple[str, ...], name: str
) -> None:
    line = refused("convert", finished.folder / f"{name}.safetensors", *quick)
    assert "expected a 32-bit CNN" in line


def _whole_zip_of_nonsense(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", "nonsense")


STATE_DICTS: list[tuple[Callable[[Path], Any], str]] = [
    (lambda path: None, "No such file"),
    (_emptied, "damaged"),
    (lambda path: path.write_bytes(b"nonsense"), "weights.pt"),
    (lambda path: path.write_text("a,b\n1,2\n"), "weights.pt"),
    (_whole_zip_of_nonsense, "damaged"),
    (_pickled, "pickle"),
    (_pickled_by_hand, "pickle"),
    (lambda path: torch.save(torch.nn.Linear(2, 2), path), "pickle"),
    (lambda path: torch.save([torch.zeros(2)], path), "found list"),
    (lambda path: torch.save({"epoch": 3}, path), "epoch"),
    (lambda path: torch.save({"conv1.weight": torch.zeros(2)}, path), "do not fit model cnn1x1"),
    (lambda path: torch.save({"conv1.weight": torch.tensor(np.nan)}, path), "NaN"),
]


@pytest.mark.parametrize(("write", "word"), STATE_DICTS)
def test_state_dict_that_is_none(
    refused: Refused, tmp_path: Path, quick: tuple[str, ...], write: Any, word: str
) -> None:
    write(tmp_path / "weights.pt")
    line = refused("convert", "weights.pt", *quick)
    assert "weights.pt" in line
    assert word in line
    assert not (tmp_path / "executed").exists()


def test_truncated_state_dict(refused: Refused, tmp_path: Path, quick: tuple[str, ...]) -> None:
    torch.save({"conv1.weight": torch.zeros(200)}, tmp_path / "weights.pt")
    whole = (tmp_path / "weights.pt").read_bytes()
    for size in (1, len(whole) // 2, len(whole) - 1):
        (tmp_path / "weights.pt").write_bytes(whole[:size])
        assert "weights.pt" in refused("convert", "weights.pt", *quick)


def test_options_beside_a_folder_to_convert(refused: Refused, copy: Path) -> None:
    assert "only its own" in refused("convert", copy, "--bits", "4")
    assert "only its own" in refused("convert", copy, "--bits", "6")
