"""Tests that docs/architecture.md shows the rooms and layers that the contracts hold."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = {
    contract["containers"][0]: contract["layers"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    if contract["type"] == "layers"
}


@pytest.mark.parametrize("package", CONTRACTS)
def test_the_layers_are_those_of_the_contract(package: str) -> None:
    found = re.search(rf"^{package} +(.*?)^(?:\n|```)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert [line.strip() for line in found[1].splitlines()] == CONTRACTS[package]


@pytest.mark.parametrize("package", CONTRACTS)
def test_every_room_is_described(package: str) -> None:
    described = PAGE.split(f"## Rooms of {package}\n")[1].split("\n## ")[0]
    for room in re.split(r" \| |,", ",".join(CONTRACTS[package])):
        assert re.search(rf"`{room}(?:/|\.py)?`", described), room
