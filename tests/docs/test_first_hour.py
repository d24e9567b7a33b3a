"""The tutorial docs/first_hour.md and its notebook run as they are printed."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "first_hour.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAIN = {"snnquant": "snnquant.cli", "pim-sim": "pim_sim.cli"}


class Block(NamedTuple):
    """A block of code of the page."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page)]


def lines(text: str) -> list[str]:
    """Return the lines of an output without what differs between machines: numbers and spaces."""
    return [" ".join(re.sub(r"\d[\d.,]*", "#", line).split()) for line in text.splitlines()]


def missing(text: str, output: str) -> list[str]:
    """Return the lines of a printed text that an output does not have."""
    found = lines(output)
    return [line for line in lines(text) if line not in found]


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment whose PATH has the commands of this checkout."""
    folder = tmp_path_factory.mktemp("bin")
    for command, module in MAIN.items():
        code = f"import sys; sys.argv[0] = '{command}'; from {module} import main; main()"
        script = folder / command
        script.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n'
        )
        script.chmod(0o755)
    root = os.pathsep.join(filter(None, [str(DOCS.parent), os.environ.get("PYTHONPATH")]))
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": root, "COLUMNS": "100"}


def outputs(page: str, folder: Path, environment: dict[str, str]) -> Iterator[tuple[Block, str]]:
    """Run the blocks of a page in order; yield each block of printed text with what it follows."""
    names: dict[str, Any] = {}
    output = ""
    for block in blocks(page):
        if block.language == "bash":
            done = subprocess.run(
                ["bash", "-e", "-c", block.text],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{block.text}\n{done.stderr[-2000:]}"
            output += done.stdout
        elif block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, "first_hour.md", "exec"), names)
            output += printed.getvalue()
        elif block.language == "toml":
            name = block.text.splitlines()[0].removeprefix("# ")
            (folder / name).write_text(block.text, encoding="utf-8")
        else:
            yield block, output


@pytest.mark.slow
def test_the_tutorial_runs_as_printed(
    shell: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block, output in outputs(PAGE, tmp_path, shell):
        assert not missing(block.text, output)
    for name in ("first", "blocks", "field"):
        assert (tmp_path / "runs" / name / "report.html").exists()
    assert (tmp_path / "field.toml").exists()


def test_every_block_is_run_written_or_compared() -> None:
    assert {block.language for block in blocks(PAGE)} == {"bash", "python", "toml", "text"}
    assert PAGE.count("```") == 2 * len(blocks(PAGE))


def test_commands_that_fail_and_texts_that_differ_are_found(
    shell: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="no_such_run"):
        list(outputs("```bash\npim-sim run --run no_such_run\n```\n", tmp_path, shell))
    page = "```python\nprint('OA 0.5  of 3')\n```\n```text\nOA 0.61 of 12\nAA 1\n```\n"
    ((block, output),) = outputs(page, tmp_path, shell)
    assert missing(block.text, output) == ["AA #"]
