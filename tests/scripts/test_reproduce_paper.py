"""Tests of the study's script on a small study: runs, skipped runs, files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.scripts.conftest import CallHere

ROOT = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]
STUDY = """
[[study]]
title = "Steps"
text = "Time steps."
scenes = ["synthetic:20x20x16"]
axis = "time_steps"
rows = [
    { label = "short", time_steps = 2, WIDTHS },
    { label = "long", time_steps = 3, snn_batch_norm = false, WIDTHS },
]
"""
WIDTHS = "widths = [2, 2, 4, 4], cnn_epochs = 2, quantized_epochs = 1, snn_epochs = 2"


def _command(*arguments: object) -> list[str]:
    script = [ROOT / "scripts" / "reproduce_paper.py", "--study", "study.toml"]
    return [str(word) for word in (*script, "--output", "results", *arguments)]


def call(folder: Path, *arguments: object) -> Done:
    command = [sys.executable, *_command(*arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with a small study."""
    (tmp_path / "study.toml").write_text(STUDY.replace("WIDTHS", WIDTHS))
    return tmp_path


@pytest.fixture
def study_here(call_here: CallHere) -> Callable[..., Done]:
    """Call the script in this process, in the folder of `study`."""

    def call(*arguments: object) -> Done:
        name, *options = _command(*arguments)
        return call_here(name, *options)

    return call


def records(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / "results" / "runs.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return {record.pop("name"): record for record in found}


def write_records(folder: Path, found: dict[str, dict[str, Any]]) -> None:
    lines = (json.dumps({"name": name, **record}) + "\n" for name, record in found.items())
    (folder / "results" / "runs.jsonl").write_text("".join(lines))


@pytest.mark.slow
def test_a_study_runs_skips_what_is_done_and_resumes(
    study: Path, study_here: Callable[..., Done]
) -> None:
    done = call(study, "--seeds", 1, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    assert "0 of 2 runs are done" in done.stdout
    assert "2/2" in done.stdout
    found = records(study)
    assert {r["metrics"]["model"]["time_steps"] for r in found.values()} == {2, 3}
    assert {r["metrics"]["seed"] for r in found.values()} == {21}
    page = (study / "results" / "README.md").read_text()
    for record in found.values():
        assert f"{100 * record['metrics']['snn_trained']['oa']:.2f}" in page
    assert (study / "results" / "time_steps_synthetic-20x20x16.svg").exists()
    assert [path.name for path in (study / "runs" / "reproduce_paper").iterdir()] == ["cnn"]
    assert len(list((study / "runs" / "reproduce_paper" / "cnn").iterdir())) == 1  # shared

    # The command in a record gives its figures, shared CNN or not, flags and lists included.
    name, record = next(item for item in found.items() if "-False" in item[0])
    words = record["command"].split()
    again = subprocess.run(
        [Path(sys.executable).with_name(words[0]), *words[1:]],
        cwd=study,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(again.stdout) | {"run": ""} == record["metrics"] | {"run": ""}

    # One record gone: only that run is repeated, with the same result, and the other record stays.
    write_records(study, {key: value for key, value in found.items() if key != name})
    assert "1 of 2 runs are done" in study_here("--seeds", 1, "--list").stdout
    assert name not in records(study)  # --list ran nothing
    assert call(study, "--seeds", 1).returncode == 0
    assert records(study).keys() == found.keys()
    assert all(records(study)[key]["metrics"] == found[key]["metrics"] for key in found)

    # A record of another configuration does not count as done.
    changed = record | {"config": record["config"].replace("snn_epochs = 2", "snn_epochs = 9")}
    write_records(study, records(study) | {name: changed})
    listed = study_here("--seeds", 1, "--list").stdout
    assert "1 of 2 runs are done" in listed
    assert record["command"] in listed


def test_an_unknown_option_in_the_study_is_one_line(study: Path) -> None:
    (study / "study.toml").write_text(STUDY.replace("WIDTHS", "bitz = 3"))
    done = call(study)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "bitz" in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("a =", "not a study"),
        ("a = 1", "not a study"),
        ("study = 3", "not a study"),
        ('[[study]]\ntitle = "a"\ntext = ""\nscenes = []\n', "no rows"),
        ('[[study]]\ntitle = "a"\ntext = ""\nscenes = []\nrows = [{}]\n', "without label"),
    ],
)
def test_a_file_that_is_no_study_is_one_line(
    text: str | None, words: str, study: Path, study_here: Callable[..., Done]
) -> None:
    (study / "study.toml").unlink()
    if text is not None:
        (study / "study.toml").write_text(text)
    done = study_here()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--study study.toml: " in done.stderr
    assert words in done.stderr
    assert not (study / "results").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--jobs", "0"), ("--seeds", "-1"), ("--studies", "Bytes")]
)
def test_an_option_out_of_range_is_one_line(
    option: str, value: str, study: Path, study_here: Callable[..., Done]
) -> None:
    done = study_here(option, value)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{option}: found " in done.stderr
    assert not (study / "results").exists()


def test_an_unavailable_scene_is_reported_and_left_out(
    study: Path, study_here: Callable[..., Done]
) -> None:
    file = study / "study.toml"
    file.write_text(file.read_text().replace("scenes = [", 'scenes = ["nowhere.toml", '))
    done = study_here("--list", "--seeds", 2)
    assert done.returncode == 0
    assert "nowhere.toml is left out" in done.stderr
    assert "0 of 4 runs are done" in done.stdout
    assert done.stdout.count("snnquant run --scene synthetic:20x20x16") == 4


def test_a_scene_that_is_asked_for_must_be_available(
    study: Path, study_here: Callable[..., Done]
) -> None:
    done = study_here("--list", "--scenes", "nowhere.toml", "synthetic:16x16x12")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nowhere.toml" in done.stderr
    assert not (study / "results").exists()
