"""The study of quantization methods, on a tiny scene by the real script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "study" / "methods.py"
EPOCHS = "--cnn-epochs 1 --snn-epochs 1 --quantized-epochs 1"


@pytest.mark.slow
def test_a_stopped_study_resumes_and_prints_a_row_per_method_and_network(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--scene", "synthetic:24x24x20", "--seeds", "1"]
    command += ["--options", EPOCHS, "--jobs", "1", "--methods", "uniform:bits=3"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    (record,) = (tmp_path / "docs/results/methods").glob("*.json")
    written = record.stat().st_mtime_ns
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout
    assert "1 of 1 done" in again.stderr
    assert record.stat().st_mtime_ns == written
    lines = first.stdout.splitlines()
    assert [line.split("|")[1:3] for line in lines[2:]] == [
        [" uniform:bits=3 ", " CNN "],
        [" uniform:bits=3 ", " SNN "],
    ]
    values = json.loads(record.read_text())
    assert values["CNN"]["bytes"] < values["SNN"]["bytes"]  # which has leaks and thresholds
    assert record.with_name("synthetic_24x24x20_cnn32h.svg").stat().st_size > 1000
