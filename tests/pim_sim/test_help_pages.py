"""Help pages of `pim-sim`: groups, examples that parse, and nothing heavy loaded for them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest

from pim_sim.cli import app, main
from pim_sim.cli.examples import EXAMPLES

SUBCOMMANDS = ["run", "sweep", "fields", "macro", "validate", "fit", "hardware", "chips"]
HEAVY = ["numpy", "torch", "scipy", "snnquant", "distributed", "pyarrow", "pim_sim.cost_model"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_every_subcommand_is_listed_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().out
    rows: list[str] = []
    for line in (line.strip("│ ") for line in text.splitlines() if line.startswith("│ ")):
        if line.split()[0] in SUBCOMMANDS or line.startswith("--"):
            rows.append(line)
        else:  # a sentence goes on in a narrow terminal
            rows[-1] += f" {line}"
    named = {row.split()[0]: row for row in rows}
    for subcommand in SUBCOMMANDS:
        assert len(named[subcommand].split()) > 3
        assert named[subcommand].endswith(".")
    assert "--install-completion" in text


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_help_has_three_examples_that_parse(
    subcommand: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([subcommand, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Usage: pim-sim" in text
    assert len(EXAMPLES[subcommand]) == 3
    for purpose, call in EXAMPLES[subcommand]:
        assert f"# {purpose} pim-sim {call}" in text
        arguments = shlex.split(call.partition(" > ")[0])
        app.parse_args(arguments, exit_on_error=False, print_error=False)


@pytest.mark.parametrize(
    ("subcommand", "groups"),
    [
        ("run", ["Workload", "Design", "Output"]),
        ("sweep", ["Workload", "Design", "Search", "Large sweeps", "Output"]),
    ],
)
def test_options_stand_in_groups(
    subcommand: str, groups: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([subcommand, "--help"])
    text = capsys.readouterr().out
    places = [text.index(f"╭─ {group} ─") for group in groups]
    assert places == sorted(places)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out.strip() == version("snnquant")


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import json, sys
from pim_sim.cli import main
for subcommand in {SUBCOMMANDS}:
    main([subcommand, "--help"])
main(["--version"])
main(["--help"])
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
