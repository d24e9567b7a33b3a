"""The study of norms and scales, by the real script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT = Path("study/norms_and_shapes.py")


def test_rows_are_kept_and_show_the_work_on_single_values(
    call_here: Callable[..., Any], tmp_path: Path
) -> None:
    arguments = (SCRIPT, "--rows", "plain", "both", "--scene", "synthetic:24x24x20")
    first = call_here(*arguments)
    assert first.returncode == 0, first.stderr
    file = tmp_path / "docs/results/methods/norms_and_shapes.jsonl"
    rows = {row["name"]: row for row in map(json.loads, file.read_text().splitlines())}
    plain, both = (rows[f"synthetic:24x24x20, {row}, seed 0"] for row in ("plain", "both"))
    assert both["single"] < plain["single"] / 2
    assert both["single"] / both["acev2"] < plain["single"] / plain["acev2"]
    assert 0 < both["oa"] <= 100
    assert f"| both | {both['oa']:.2f} |" in first.stdout
    written = file.stat().st_mtime_ns
    assert call_here(*arguments).stdout == first.stdout
    assert file.stat().st_mtime_ns == written
