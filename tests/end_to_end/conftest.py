"""The command line in this process and as its own; a whole run to be read and copied."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from snnquant.cli import main

if TYPE_CHECKING:
    from tests.conftest import MakeOnce

SCENE = "synthetic:24x24x16"
QUICK = (
    *("--scene", SCENE, "--widths", "8", "8"),
    *("--cnn-epochs", "3", "--quantized-epochs", "2", "--snn-epochs", "3"),
)


class Outcome(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


class Finished(NamedTuple):
    """A run, its metrics and the outcome of its command."""

    folder: Path
    metrics: dict[str, Any]
    outcome: Outcome


Command = Callable[..., Outcome]
Start = Callable[..., subprocess.Popen[str]]
Refused = Callable[..., str]
Contents = Callable[[Path], dict[str, bytes | None]]
Results = Callable[[Path], dict[str, bytes]]


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "data_folder" not in request.fixturenames:
        monkeypatch.delenv("SNNQUANT_DATA", raising=False)


@pytest.fixture(scope="session")
def snnquant() -> Command:
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
def start_snnquant() -> Start:
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


@pytest.fixture(scope="session")
def finished(snnquant: Command, make_once: MakeOnce) -> Finished:
    """A whole run, to be read and copied, never changed."""

    def fill(folder: Path) -> None:
        outcome = snnquant("run", *QUICK, "--output", folder / "run", "--json")
        assert outcome.code == 0, outcome.err
        (folder / "outcome.json").write_text(json.dumps(outcome))

    folder = make_once("finished", fill)
    outcome = Outcome(*json.loads((folder / "outcome.json").read_text()))
    return Finished(folder / "run", json.loads(outcome.out), outcome)


@pytest.fixture(scope="session")
def contents() -> Contents:
    """Every file and folder below a folder, hidden ones too, with what the files hold."""

    def read(folder: Path) -> dict[str, bytes | None]:
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
        }

    return read


@pytest.fixture(scope="session")
def results() -> Results:
    """The files of a run, to be compared bit for bit with another's.

    Without the folder's name and what differs from one execution to the next: the durations.
    """

    def read(folder: Path) -> dict[str, bytes]:
        found = {}
        for path in folder.iterdir():
            content = path.read_bytes().replace(str(folder).encode(), b"RUN")
            found[path.name] = re.sub(rb'<ul class="facts">.*?</ul>', b"", content)
        found.pop("record.json", None)
        return found

    return read


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Path:
    """A finished run that may be damaged."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def refused(
    snnquant: Command, contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Refused:
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
