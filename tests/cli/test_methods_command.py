"""`snnquant methods`."""

from __future__ import annotations

import json

import pytest

from snnquant.cli import main
from snnquant.config import METHODS


def test_json_is_one_object_with_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    main(["methods", "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    rows = {row["name"]: row for row in json.loads(out)["methods"]}
    assert list(rows) == METHODS.names()
    assert rows["uniform"]["hooks"] == ["quantizer"]
    assert rows["uniform"]["trains"] is True
    assert all(row["source"] and row["cnn"] and row["snn"] for row in rows.values())


def test_the_table_fits_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main(["methods"])
    out, _ = capsys.readouterr()
    assert max(len(line) for line in out.splitlines()) <= 80
    for name in METHODS.names():
        assert any(line.split()[:1] == [name] for line in out.splitlines())
