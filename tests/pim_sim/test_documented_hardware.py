"""Files and commands of docs/your_hardware.md, written and run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your_hardware.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write every file of the page; a comment in the first line is its name."""
    folder = tmp_path_factory.mktemp("documented")
    for kind, text in BLOCKS:
        if named := re.match(r"# ([\w.]+)\n", text):
            (folder / named[1]).write_text(text, encoding="utf-8")
        elif kind == "json":
            (folder / "workload.json").write_text(text, encoding="utf-8")
        elif kind == "python":
            (folder / "study.py").write_text(text, encoding="utf-8")
    return folder


def _python(folder: Path, *arguments: str, plugins: str = "") -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SNNQUANT_PLUGINS": plugins}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("line", COMMANDS)
def test_command_of_the_page_works(line: str, folder: Path) -> None:
    words = shlex.split(line)
    plugins = words.pop(0).partition("=")[2] if "=" in words[0] else ""
    program, *arguments = words
    assert program == "pim-sim"
    code = "import sys; from pim_sim.cli import main; main(sys.argv[1:])"
    assert _python(folder, "-c", code, *arguments, plugins=plugins)


def test_python_of_the_page_works(folder: Path) -> None:
    assert float(_python(folder, "study.py").split()[0]) > 0
