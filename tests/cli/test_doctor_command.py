"""`snnquant doctor`: the state of the installation, and how to install what is missing."""

from __future__ import annotations

import json
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from snnquant.cli import main
from snnquant.pipeline import installation
from snnquant.scenes.known import known_scenes

REQUIRES = [
    "torch>=2.6",
    "rasterio>=1.3; extra == 'geo'",
    "no-such-library>=1.0; extra == 'onnx'",
    "onnx>=1.17; extra == 'onnx'",
    'far-future>=1; python_version >= "4.2" and extra == "live"',
    "ruff>=0.8; extra == 'dev'",
]


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: REQUIRES)


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    main(["doctor", "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_json_is_one_object_with_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys)
    assert found["versions"]["python"] == sys.version.split()[0]
    assert found["versions"]["torch"] == metadata.version("torch")
    assert 1 <= found["threads"]["available"] <= found["threads"]["cores"]
    assert [row["scene"] for row in found["data"]] == known_scenes()
    assert all(row["free_gb"] > 0 for row in found["disk"])
    assert found["broken"] == []


def test_missing_extras_come_with_their_command(
    required: None, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["extra"]: row for row in _json(capsys)["extras"]}
    assert list(rows) == ["geo", "onnx"]  # neither for development nor for another Python
    assert rows["onnx"]["missing"] == ["no-such-library"]
    assert rows["onnx"]["install"].endswith("pip install 'snnquant[onnx]'")
    assert rows["geo"]["install"] is None
    main(["doctor"])
    out = capsys.readouterr().out
    assert f"onnx: no-such-library missing: {rows['onnx']['install']}" in out


def test_every_extra_of_the_package_is_looked_at() -> None:
    root = Path(__file__).parents[2]
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    assert {"geo", "figures", "onnx"} <= {line.split(" = ")[0] for line in text.splitlines()}
    named = {row["extra"] for row in installation.extras()}
    assert {"geo", "onnx"} <= named
    assert not named & set(installation.DEVELOPMENT)


def test_data_in_a_folder_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNNQUANT_DATA", str(tmp_path))
    (tmp_path / "Salinas_A_corrected.mat").touch()
    (row,) = [row for row in _json(capsys)["data"] if row["scene"] == "salinas_a"]
    assert row["cube"] == str(tmp_path / "Salinas_A_corrected.mat")
    assert row["labels"] is None


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_broken_installation_is_told_after_the_rest(
    options: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SNNQUANT_DATA", str(tmp_path / "none"))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *options])
    out, err = capsys.readouterr()
    assert (stop.value.code, err.count("\n")) == (2, 1)
    assert "torch: cannot be imported" in err
    assert "SNNQUANT_DATA: found" in err
    assert "GB free in" in out or json.loads(out)["disk"]


def test_programs_for_curves_are_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [
        f"{name.partition(';')[0]}; extra == '{extra}'"
        for extra, names in project["optional-dependencies"].items()
        for name in names
    ]
    monkeypatch.setattr(metadata, "requires", lambda _: declared)
    rows = {row["extra"]: row for row in installation.extras()}
    for extra, distribution in (("tensorboard", "tensorboard"), ("mlflow", "mlflow-skinny")):
        assert [*rows[extra]["installed"], *rows[extra]["missing"]] == [distribution]
