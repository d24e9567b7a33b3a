"""The page of all methods: a row per registered method, study and effort."""

from __future__ import annotations

import re
from pathlib import Path

from snnquant.config import METHODS
from snnquant.quantization.listing import STUDIES

PAGE = Path(__file__).parents[2] / "docs" / "results" / "methods" / "README.md"
COLUMNS = 6


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells for cells in split if cells[0] not in ("published name", "---")]


def test_every_method_study_and_effort_has_a_row() -> None:
    named = {name for cells in rows() for name in re.findall(r"`([a-z_0-9]+)`", cells[1])}
    expected = {method.method for method in METHODS if method.__module__.startswith("snnquant")}
    expected |= {study.name for study in STUDIES} | {"ace", "acev2", "ns_ace"}
    assert expected <= named


def test_every_row_has_a_claim_a_finding_a_command_and_a_certainty() -> None:
    found = rows()
    assert len(found) > 25
    for cells in found:
        assert len(cells) == COLUMNS, cells
        assert all(cells), cells
