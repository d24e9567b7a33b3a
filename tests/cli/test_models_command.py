"""`snnquant models`."""

from __future__ import annotations

import json

import pytest

from snnquant.cli import main
from snnquant.config import NETWORKS


def test_json_is_one_object_with_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    answer = json.loads(out)
    assert (answer["bands"], answer["classes"]) == (200, 16)
    rows = {row["name"]: row for row in answer["models"]}
    assert list(rows) == list(NETWORKS)
    for name, row in rows.items():
        assert (row["window"], row["components"]) == NETWORKS[name]
        assert row["convertible"] is (row["refused"] is None)
        assert row["paper"]
    assert rows["hybridsn"]["parameters"] == 5_122_176
    assert "Tanh" in rows["hu"]["refused"]


def test_the_table_fits_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main(["models"])
    out, _ = capsys.readouterr()
    assert max(len(line) for line in out.splitlines()) <= 80
    for name in NETWORKS:
        assert any(line.split()[:1] == [name] for line in out.splitlines())
    assert "5,122,176" in out
