"""Scripts called in this process."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
CallHere = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def call_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CallHere:
    """Call a script in `tmp_path`, which saves the seconds that torch takes to load."""

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        words, code = [str(SCRIPTS / name), *map(str, arguments)], 0
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(SCRIPTS))
        monkeypatch.setattr(sys, "argv", words)
        try:
            runpy.run_path(words[0], run_name="__main__")
        except SystemExit as stop:
            code = int(stop.code or 0)
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return run
