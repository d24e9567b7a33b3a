"""`snnquant methods`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snnquant.cli import main
from snnquant.config import METHODS
from snnquant.quantization.listing import STUDIES


def test_json_is_one_object_with_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    main(["methods", "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    listed = json.loads(out)
    rows = {row["name"]: row for row in listed["methods"]}
    assert list(rows) == METHODS.names()
    assert rows["uniform"]["hooks"] == ["quantizer", "estimator"]
    assert rows["uniform"]["trains"] is True
    assert all(row["source"] and row["cnn"] and row["snn"] for row in rows.values())
    assert all(row["source"] and row["certainty"] for row in listed["studies"])
    assert {"ace", "acev2", "horowitz_widths"} <= {row["name"] for row in listed["costs"]}


def test_the_command_of_every_study_is_a_script_of_the_source_tree() -> None:
    tree = Path(__file__).parents[2]
    for study in STUDIES:
        assert (tree / study.command.removeprefix("python ")).is_file()


def test_the_table_fits_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main(["methods"])
    out, _ = capsys.readouterr()
    assert max(len(line) for line in out.splitlines()) <= 80
    for name in (*METHODS.names(), *(study.name for study in STUDIES), "acev2"):
        assert any(line.split()[:1] == [name] for line in out.splitlines())
