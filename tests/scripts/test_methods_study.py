"""The study of quantization methods, on a tiny scene by the real script."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from snnquant.config import METHODS

SCRIPT = Path(__file__).parents[2] / "scripts" / "study" / "methods.py"
EPOCHS = "--cnn-epochs 1 --snn-epochs 1 --quantized-epochs 1 --block-size 4 --guard 0"


@pytest.mark.slow
def test_a_stopped_study_resumes_and_prints_a_row_per_method_and_network(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--scene", "synthetic:24x24x20", "--seeds", "1"]
    command += ["--options", EPOCHS, "--jobs", "1", "--methods", "uniform:bits=3"]
    command += ["--splits", "random", "blocks"]
    todo = subprocess.run([*command, "--list"], cwd=tmp_path, capture_output=True, text=True)
    assert "0 of 2 done, 2 left" in todo.stderr
    assert [line.split(",")[0] for line in todo.stdout.splitlines()] == ["random", "blocks"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "1 of 2 done, 1 left, about" in first.stderr
    results = tmp_path / "docs/results/methods"
    file = results / "synthetic_24x24x20_cnn32h.jsonl"
    written = file.stat().st_mtime_ns
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout
    assert "2 of 2 done" in again.stderr
    assert file.stat().st_mtime_ns == written
    rows = [line.split("|")[1:3] for line in first.stdout.splitlines() if "uniform" in line]
    assert rows == 2 * [[" uniform:bits=3 ", " CNN "], [" uniform:bits=3 ", " SNN "]]
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert [record["split"] for record in records] == ["blocks", "random"]
    for record in records:
        assert record["CNN"]["bytes"] < record["SNN"]["bytes"]  # which has leaks and thresholds
        assert set(record["CNN"]["layer_bits"].values()) == {3}
        kinds = {row["kind"] for row in record["SNN"]["operations_by_width"]}
        assert {"mac", "ac", "add"} <= kinds
        assert record["SNN"]["chip_nj"]["pixel"] > record["SNN"]["chip_nj"]["map"] > 0
        assert record["seconds"] > 0
    for split in ("random", "blocks"):
        assert (results / f"synthetic_24x24x20_cnn32h_{split}.svg").stat().st_size > 1000


def test_a_method_has_a_row_per_width_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    specs = import_module("methods")._all_methods([1, 2, 4])
    assert [spec for spec in specs if spec.startswith("uniform")] == [
        "uniform:bits=2",
        "uniform:bits=4",
    ]
    assert "bcgd:bits=1" in specs
    assert {spec.partition(":")[0] for spec in specs} == set(METHODS.names())
