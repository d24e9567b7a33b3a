"""The layout of the packages: imports downwards only, one idea per file name, short files."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]
PACKAGES = ("snnquant", "pim_sim")
LONGEST = 400
"""Lines of a file."""
TWICE = {
    "errors.py": "snnquant names the exception of pim_sim as its own",
    "io.py": "snnquant names the tools of pim_sim as its own",
}
"""File names that stand twice, with the reason."""


def _files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (ROOT / folder).rglob("*.py")


def test_import_contracts_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    status = lint_imports(no_cache=True)
    out = capsys.readouterr().out
    assert status == EXIT_STATUS_SUCCESS, out
    assert ", 0 broken" in out


def test_every_room_has_a_layer() -> None:
    """A contract that is not exhaustive says nothing of the rooms that it leaves out."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts = [c for c in tool["importlinter"]["contracts"] if c["type"] == "layers"]
    assert {name for contract in contracts for name in contract["containers"]} == set(PACKAGES)
    assert all(contract["exhaustive"] for contract in contracts)
    assert not any(contract.get("exhaustive_ignores") for contract in contracts)
    assert not any(contract.get("ignore_imports") for contract in contracts)


def test_a_file_name_stands_for_one_idea() -> None:
    """But for packages' own files, and for subcommands, whose files bear their names."""
    places = defaultdict(list)
    for path in _files(*PACKAGES):
        if path.name != "__init__.py" and path.parent.name != "cli":
            places[path.name].append(str(path.relative_to(ROOT)))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert set(twice) == set(TWICE), twice


def test_no_file_is_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in _files(*PACKAGES, "scripts", "tests")
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}
