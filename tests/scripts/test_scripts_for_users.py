"""Tests of the scripts for users: they start, and wrong input is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from tests.scripts.conftest import CallHere

SCRIPTS = Path(__file__).parents[2] / "scripts"


def call(*words: object) -> subprocess.CompletedProcess[str]:
    name, *arguments = map(str, words)
    command = [sys.executable, str(SCRIPTS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_wrong_input_is_one_line() -> None:
    done = call("train_scene.py", "synthetic:20x20x16", "--bits", "1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("train_scene.py: --bits: found 1")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("convert_checkpoint.py", "cnn.pt", "nowhere.toml"), "nowhere.toml: "),
        (("convert_checkpoint.py", "cnn.pt", "indian_pines", "--model", "vgg"), "--model: found"),
    ],
)
def test_wrong_input_in_this_process(
    words: tuple[str, ...], named: str, call_here: CallHere
) -> None:
    done = call_here(*words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(f"{words[0]}: ")
    assert named in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="times the networks on a GPU")
def test_the_benchmark_of_gpus_says_that_there_is_no_device() -> None:
    done = call("benchmark.py", "--gpu", "--quick")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "GPU: left out, torch sees no CUDA device\n"


def test_the_readme_names_every_script() -> None:
    text = (SCRIPTS / "README.md").read_text(encoding="utf-8")
    for file in SCRIPTS.rglob("*.py"):
        assert f"`{file.name}" in text, file
