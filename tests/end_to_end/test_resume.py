"""Runs that are killed or stopped and then resumed end like a run that was not."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from snnquant.stored_networks import Network

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command, Contents, Finished, Results, Start

# Epochs of some 50 ms and enough of them: the signal arrives while the stage is at work.
OPTIONS = (
    *(
        "--scene",
        "synthetic:48x48x32",
        "--model",
        "cnn32h",
        "--widths",
        "8",
        "16",
        "32",
        "32",
        "--batch-size",
        "32",
    ),
    *("--cnn-epochs", "12", "--quantized-epochs", "1", "--snn-epochs", "8"),
)
CHECKPOINTS = {network.stage: network.file for network in Network}


@pytest.fixture(scope="module")
def unbroken(snnquant: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    outcome = snnquant("run", *OPTIONS, "--output", folder)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture
def stop_in(
    start_snnquant: Start, tmp_path: Path
) -> Iterator[Callable[[str, signal.Signals], tuple[Path, int, str]]]:
    """Start a run, and send it a signal after the first epoch of a stage."""
    started: list[subprocess.Popen[str]] = []

    def stop(stage: str, what: signal.Signals) -> tuple[Path, int, str]:
        folder = tmp_path / "a run"
        run = start_snnquant(tmp_path, "run", *OPTIONS, "--output", folder)
        started.append(run)
        while not (folder / f"{stage}.state.safetensors").exists():
            assert run.poll() is None, run.communicate()
            time.sleep(0.002)
        os.kill(run.pid, what)
        errors = run.communicate()[1]
        assert not (folder / CHECKPOINTS[stage]).exists(), "the signal came too late"
        return folder, run.returncode, errors

    yield stop
    for run in started:
        run.kill()
        run.wait()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["cnn", "cnn_twin", "snn"])
def test_killed_run_resumes_to_the_same_bits(
    stop_in: Any, unbroken: Path, snnquant: Command, results: Results, stage: str
) -> None:
    folder, code, _ = stop_in(stage, signal.SIGKILL)
    assert code == -signal.SIGKILL
    outcome = snnquant("run", "--resume", folder)
    assert outcome.code == 0, outcome.err
    assert results(folder) == results(unbroken)


@pytest.mark.slow
def test_ctrl_c_says_how_to_resume(
    stop_in: Any, unbroken: Path, snnquant: Command, results: Results
) -> None:
    folder, code, errors = stop_in("cnn", signal.SIGINT)
    assert code == 130
    assert "Traceback" not in errors
    *_, hint, last = errors.splitlines()
    assert last == "snnquant: stopped"
    command = shlex.split(hint.partition("resume with: ")[2])
    assert command == ["snnquant", "run", "--resume", str(folder)]
    assert not list(folder.glob(".*"))
    assert snnquant(*command[1:]).code == 0
    assert results(folder) == results(unbroken)


def test_resuming_a_finished_run_changes_nothing(
    copy: Path, snnquant: Command, contents: Contents
) -> None:
    assert snnquant("run", "--resume", copy).code == 0
    before = contents(copy)
    assert snnquant("run", "--resume", copy).code == 0
    assert contents(copy) == before


def test_resuming_clears_what_a_kill_left_half_written(
    copy: Path, finished: Finished, snnquant: Command, results: Results
) -> None:
    state = (copy / "cnn.safetensors").read_bytes()
    (copy / ".4242.snn.state.safetensors").write_bytes(state[:100])
    for stage in (
        "cnn",
        "cnn_quantized",
        "cnn_twin",
        "snn",
    ):  # killed before the last step of the stage
        (copy / f"{stage}.state.safetensors").write_bytes(state)
    assert snnquant("run", "--resume", copy).code == 0
    assert results(copy) == results(finished.folder)


@pytest.mark.parametrize(
    "missing",
    [
        ["metrics.json", "workload.json", "report.html", "map.png", "map.npy"],
        ["snn.safetensors", "metrics.json"],
        ["cnn_twin.safetensors", "workload_cnn_twin.json", "metrics.json"],
        ["split.npz"],
    ],
    ids=" ".join,
)
def test_resuming_makes_what_is_missing(
    copy: Path, finished: Finished, snnquant: Command, results: Results, missing: list[str]
) -> None:
    for name in missing:
        (copy / name).unlink()
    assert snnquant("run", "--resume", copy).code == 0
    assert results(copy) == results(finished.folder)


def test_resuming_from_only_the_configuration(
    finished: Finished, snnquant: Command, results: Results, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(finished.folder / "config.toml", tmp_path / "run")
    assert snnquant("run", "--resume", tmp_path / "run").code == 0
    assert results(tmp_path / "run") == results(finished.folder)


def test_state_of_another_training_is_refused(copy: Path, snnquant: Command) -> None:
    (copy / "snn.safetensors").unlink()
    shutil.copy(copy / "cnn.safetensors", copy / "snn.state.safetensors")
    code, out, err = snnquant("run", "--resume", copy)
    assert (code, out) == (2, "")
    assert "snn.state.safetensors" in err.splitlines()[-1]
