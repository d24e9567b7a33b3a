"""Wrong input: exit 2, one line that says what is wrong, and nothing left on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import spectral
from scipy.io import savemat

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command, Contents, Refused, Start

# --- subcommands, options and their values -------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["walk"], ["walk", "run, train"]),
        (["run", "--scene", "nowhere", "indian_pines"], ["indian_pines"]),
        (["run", "--scene", "nowhere", "--bitz", "4"], ["--bitz", "--bits"]),
        (["run", "--scene", "nowhere", "--bits"], ["--bits"]),
        (["run", "--scene", "nowhere", "--bits", "four"], ["--bits", "four"]),
        (["run", "--scene", "nowhere", "--bits", "1"], ["--bits", "1", "2 to 8"]),
        (["run", "--scene", "nowhere", "--bits", "9"], ["--bits", "9", "2 to 8"]),
        (["run", "--scene", "nowhere", "--bits", "6.5"], ["--bits", "6.5", "whole number"]),
        (
            ["run", "--scene", "nowhere", "--widths", "4", "4", "8.5", "8"],
            ["--widths", "8.5", "whole number"],
        ),
        (["run", "--scene", "nowhere", "--neuron-bits", "4.5"], ["--neuron-bits", "whole number"]),
        (["run", "--scene", "nowhere", "--time-steps", "0"], ["--time-steps", "0", "at least 1"]),
        (["run", "--scene", "nowhere", "--time-steps", "-3"], ["--time-steps", "-3", "at least 1"]),
        (["run", "--scene", "nowhere", "--seed", "-1"], ["--seed", "-1", "0 or more"]),
        (["run", "--scene", "nowhere", "--window", "4"], ["--window", "4", "odd"]),
        (
            ["run", "--scene", "nowhere", "--model", "cnn32h", "--widths", "8", "0", "8", "8"],
            ["--widths", "1 or more"],
        ),
        (
            ["run", "--scene", "nowhere", "--learning-rate", "nan"],
            ["--learning-rate", "nan"],
        ),
        (["run", "--scene", "nowhere", "--train-fraction", "1"], ["--train-fraction", "1"]),
        (
            ["run", "--scene", "nowhere", "--split", "checkerboard"],
            ["--split", "checkerboard", "blocks"],
        ),
        (["run", "--scene", "nowhere", "--model", "cnn4d"], ["--model", "cnn4d", "cnn32h"]),
        (["map", ".", "--network", "cnn"], ["--network", "cnn_fp32"]),
        (["evaluate"], ["FOLDER"]),
        (["scenes", "show", "indian_pine"], ["indian_pine", "did you mean indian_pines"]),
        (["run", "--scene", "indian_pine"], ["indian_pine", "did you mean indian_pines"]),
        (["run", "--scene", "synthetic:24x24"], ["synthetic:24x24", "synthetic:HxWxB"]),
        (["run", "--scene", "card.toml"], ["card.toml", "no such file"]),
        (["run", "--scene", "synthetic:24x24x16", "--window", "25"], ["--window", "25", "24"]),
        (["run", "--scene", "synthetic:24x24x16", "--hardware", "abacus"], ["abacus", "sram_65nm"]),
        (["run", "--scene", "synthetic:24x24x16", "--hardware", "a.toml"], ["a.toml"]),
        (["run", "--scene", "synthetic:24x24x16", "--widths", "8"], ["--widths", "1", "2"]),
        (
            ["run", "--scene", "synthetic:24x24x16", "--split", "mask"],
            ["synthetic:24x24x16", "card"],
        ),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_wrong_options(refused: Refused, arguments: list[str], words: list[str]) -> None:
    line = refused(*arguments)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"bits =", ["options.toml", "TOML"]),
        (b"\xff\xfe", ["options.toml", "TOML"]),
        (b"bitz = 4", ["options.toml", "bitz"]),
        (b"[quantization]\nbits = 4", ["options.toml", "quantization"]),
        (b"[run]\nbits = 4", ["options.toml", "run"]),
        (b'bits = "four"', ["options.toml", "bits", "four"]),
        (b"bits = 6.5", ["bits", "6.5", "whole number"]),
        (b"bits = true", ["options.toml", "bits", "True"]),
        (b"bits = [4, 5]", ["options.toml", "bits"]),
        (b"bits = 9", ["bits", "9", "2 to 8"]),
        (b'model = "cnn4d"', ["--model", "cnn4d", "cnn32h"]),
    ],
)
def test_wrong_config_files(
    refused: Refused, tmp_path: Path, text: bytes, words: list[str]
) -> None:
    (tmp_path / "options.toml").write_bytes(text)
    line = refused("run", "--scene", "nowhere", "--config", "options.toml")
    assert all(word in line for word in words), line
    assert line == refused("run", "--scene", "nowhere", "--config=options.toml")


def test_config_that_is_no_file(refused: Refused, tmp_path: Path) -> None:
    assert "options.toml" in refused("run", "--scene", "nowhere", "--config", "options.toml")
    (tmp_path / "folder.toml").mkdir()
    assert "folder.toml" in refused("run", "--scene", "nowhere", "--config", "folder.toml")
    assert "--config" in refused("run", "--scene", "nowhere", "--config")


# --- scenes --------------------------------------------------------------------------------------

SIZE, BANDS, CLASSES = 12, 8, 3


@pytest.fixture
def cube() -> np.ndarray:
    return np.random.default_rng(0).random((SIZE, SIZE, BANDS)).astype(np.float32)


@pytest.fixture
def labels() -> np.ndarray:
    return (np.arange(SIZE * SIZE).reshape(SIZE, SIZE) // 40).clip(0, CLASSES).astype(np.uint8)


@pytest.fixture
def card(tmp_path: Path, cube: np.ndarray, labels: np.ndarray) -> Callable[..., Path]:
    """Write a card and the files that it names; `cube_keys` go into its table of the cube."""

    def write(**changes: Any) -> Path:
        np.save(tmp_path / "cube.npy", changes.get("cube", cube))
        np.save(tmp_path / "labels.npy", changes.get("labels", labels))
        text = "[cube]\n" + changes.get("cube_keys", 'file = "cube.npy"') + "\n"
        text += '[labels]\nfile = "labels.npy"\n'
        text += "".join(f'[[classes]]\nname = "crop {n}"\n' for n in range(1, CLASSES + 1))
        (tmp_path / "field.toml").write_text(text)
        return tmp_path / "field.toml"

    return write


def test_the_card_of_these_tests_is_right(card: Any, snnquant: Command, tmp_path: Path) -> None:
    outcome = snnquant(
        *("train", "--scene", card(), "--cnn-epochs", 1, "--quantized-epochs", 1),
        *("--widths", 2, 2, "--output", tmp_path / "run"),
    )
    assert outcome.code == 0, outcome.err


def test_cube_and_labels_of_different_size(refused: Refused, card: Any, labels: Any) -> None:
    line = refused("run", "--scene", card(labels=labels[:-1]))
    assert "labels.npy" in line
    assert "11 x 12" in line
    assert "12 x 12" in line


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_take_no_part_and_are_counted(
    card: Any, cube: Any, snnquant: Command, tmp_path: Path, value: float
) -> None:
    cube[3, 4, 5] = cube[3, 9, 0] = cube[11, 0, 7] = value
    outcome = snnquant(
        *("train", "--scene", card(cube=cube), "--cnn-epochs", 1, "--quantized-epochs", 1),
        *("--widths", 2, 2, "--output", tmp_path / "run"),
    )
    assert outcome.code == 0, outcome.err
    assert "3 of 144 pixels have no data" in outcome.err


@pytest.mark.parametrize("pixels", [0, 2])
def test_class_with_too_few_pixels(refused: Refused, card: Any, labels: Any, pixels: int) -> None:
    labels[labels == 3] = 0
    labels[0, :pixels] = 3
    line = refused("run", "--scene", card(labels=labels))
    assert "crop 3" in line
    assert str(pixels or "no pixel") in line


def test_labels_without_a_class_are_left_out_and_said(
    card: Any, labels: Any, snnquant: Command, tmp_path: Path
) -> None:
    labels[0, 0] = CLASSES + 1
    outcome = snnquant(
        *("train", "--scene", card(labels=labels), "--cnn-epochs", 1, "--quantized-epochs", 1),
        *("--widths", 2, 2, "--output", tmp_path / "run"),
    )
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.err.splitlines() if "labels.npy" in line]
    assert f"left out the labels {CLASSES + 1} (1 pixels)" in line


def test_missing_scene_files(
    refused: Refused, card: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = card(cube_keys='file = "away.npy"')
    assert "away.npy: not found" in refused("run", "--scene", path)
    line = refused("run", "--scene", "salinas_a")
    assert "salinas_a_corrected.mat" in line
    assert "SNNQUANT_DATA is not set" in line
    monkeypatch.setenv("SNNQUANT_DATA", str(tmp_path))
    assert str(tmp_path) in refused("run", "--scene", "salinas_a")
    monkeypatch.setenv("SNNQUANT_DATA", str(tmp_path / "away"))
    assert "expected a folder" in refused("run", "--scene", "salinas_a")


def _as_mat5(path: Path, cube: np.ndarray) -> Path:
    savemat(path, {"field": cube}, do_compression=True)
    return path


def _as_mat73(path: Path, cube: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file["field"] = cube.transpose()
        file["field"].attrs["MATLAB_class"] = np.bytes_("single")
    return path


def _as_npz(path: Path, cube: np.ndarray) -> Path:
    with path.open("wb") as file:
        np.savez(file, field=cube)
    return path


def _as_npy(path: Path, cube: np.ndarray) -> Path:
    with path.open("wb") as file:
        np.save(file, cube)
    return path


def _as_envi(path: Path, cube: np.ndarray, interleave: str = "bil") -> Path:
    spectral.envi.save_image(str(path), cube, interleave=interleave, ext=".img")
    return path.with_suffix(".img")


def _as_envi_by_pixel(path: Path, cube: np.ndarray) -> Path:
    return _as_envi(path, cube, "bip")


WRITERS = [_as_mat5, _as_mat73, _as_npz, _as_npy]
NAMED = [_as_mat5, _as_mat73, _as_npz]


@pytest.mark.parametrize("write", [*WRITERS, _as_envi, _as_envi_by_pixel])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_cubes(
    refused: Refused, card: Any, cube: Any, tmp_path: Path, write: Any, share: float
) -> None:
    path = card(cube_keys='file = "whole.hdr"')
    content = write(tmp_path / "whole.hdr", cube)
    whole = content.read_bytes()
    content.write_bytes(whole[: int(share * len(whole))])
    assert content.stem in refused("run", "--scene", path)


@pytest.mark.parametrize("write", NAMED)
def test_wrong_variable_name(
    refused: Refused, card: Any, cube: Any, tmp_path: Path, write: Any
) -> None:
    write(tmp_path / "named", cube)
    line = refused("run", "--scene", card(cube_keys='file = "named"\nvariable = "forest"'))
    assert "named" in line
    assert "forest" in line
    assert "field (12, 12, 8)" in line


def test_card_that_is_damaged(refused: Refused, card: Any) -> None:
    path = card()
    path.write_text(path.read_text() + "[[classes]]\nnome = 3\n")
    line = refused("run", "--scene", path)
    assert "field.toml" in line
    assert "nome" in line


# --- as a process --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "--bits", "9"], "--bits: found 9, expected 2 to 8"),
        (["run", "--config", "away.toml"], "--config away.toml: cannot be read (No such file"),
        (["run", "--scene", "away.toml"], "away.toml: found no such file, expected a scene card"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_to_a_process(
    start_snnquant: Start, contents: Contents, tmp_path: Path, arguments: list[str], line: str
) -> None:
    process = start_snnquant(tmp_path, *arguments)
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"snnquant: {line}")
    assert err.count("\n") == 1
    assert contents(tmp_path) == {}
