from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from snnquant.cli import main

SCENE = "synthetic:24x24x16"
QUICK = (
    *("--scene", SCENE, "--widths", "4", "4", "8", "8"),
    *("--cnn-epochs", "3", "--quantized-epochs", "2", "--snn-epochs", "3"),
)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "data_folder" not in request.fixturenames:
        monkeypatch.delenv("SNNQUANT_DATA", raising=False)


@pytest.fixture(scope="session")
def snnquant() -> Callable[..., Outcome]:
    """Call the command line in this process, which saves the seconds that torch takes to load."""

    def call(*arguments: object) -> Outcome:
        code = 0
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([str(argument) for argument in arguments])
            except SystemExit as stop:
                code = int(stop.code or 0)
        return Outcome(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def start_snnquant() -> Callable[..., subprocess.Popen[str]]:
    """Start the command line as a process of its own, in a folder, with pipes for its output."""

    def start(folder: Path, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        # A test run in the background has Ctrl-C ignored, and what it starts inherits that.
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from snnquant.cli import main; main()"
        command = [sys.executable, "-c", code]
        return subprocess.Popen(
            command + [str(argument) for argument in arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


@pytest.fixture(scope="session")
def quick() -> tuple[str, ...]:
    """Options of a run that takes a second or less."""
    return QUICK


class Finished(NamedTuple):
    folder: Path
    metrics: dict[str, Any]
    outcome: Outcome


@pytest.fixture(scope="session")
def finished(
    snnquant: Callable[..., Outcome], tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """A whole run, to be read and copied, never changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    outcome = snnquant("run", *QUICK, "--output", folder, "--json")
    assert outcome.code == 0, outcome.err
    return Finished(folder, json.loads(outcome.out), outcome)


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes | None]]:
    """Every file and folder below a folder, hidden ones too, with what the files hold."""

    def read(folder: Path) -> dict[str, bytes | None]:
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
        }

    return read


@pytest.fixture(scope="session")
def results() -> Callable[[Path], dict[str, bytes]]:
    """What a run left, to be compared bit for bit with another: all but the folder's own name."""

    def read(folder: Path) -> dict[str, bytes]:
        found = {}
        for path in folder.iterdir():
            found[path.name] = path.read_bytes().replace(str(folder).encode(), b"RUN")
        return found

    return read


@pytest.fixture
def copy(finished: Any, tmp_path: Path) -> Path:
    """A finished run that may be damaged."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def refused(snnquant: Any, contents: Any, tmp_path: Path, monkeypatch: Any) -> Callable[..., str]:
    """Call the command line in an empty folder with bad input; returns the line it answers with.

    Lines of progress may precede it where `progress` is true: some input is read only then.
    """
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, progress: bool = False) -> str:
        before = contents(tmp_path)
        code, out, err = snnquant(*arguments)
        assert (code, out) == (2, "")
        assert contents(tmp_path) == before
        *earlier, line = err.splitlines()
        assert progress or not earlier
        assert all(": 0/" in remark or remark.startswith("evaluation: ") for remark in earlier)
        assert line.startswith("snnquant: ")
        return line.removeprefix("snnquant: ")

    return call
