"""The study of post-training quantization, by the real script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "study" / "post_training.py"


@pytest.mark.slow
def test_rows_are_kept_and_correction_comes_nearer_than_nearest(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--seeds", "0", "--iterations", "1"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    file = tmp_path / "docs/results/methods/post_training.jsonl"
    rows = {row["name"]: row for row in map(json.loads, file.read_text().splitlines())}
    for bits in (2, 3, 4):
        nearest = rows[f"{bits} bits, nearest, seed 0"]
        for correction in ("empirical", "analytic"):
            corrected = rows[f"{bits} bits, {correction} correction, seed 0"]
            assert corrected["logits_mse"] < nearest["logits_mse"]
    for bits in (4, 6):
        plain = rows[f"{bits} bits, unbalanced, seed 0"]
        assert rows[f"{bits} bits, unbalanced, equalised, seed 0"]["oa"] > plain["oa"] + 0.3
    assert rows["2 bits, multipoint, epsilon 1e+30, seed 0"]["points"] == 1
    assert rows["2 bits, multipoint, epsilon 0.01, seed 0"]["points"] > 1.5
    written = file.stat().st_mtime_ns
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout
    assert file.stat().st_mtime_ns == written
