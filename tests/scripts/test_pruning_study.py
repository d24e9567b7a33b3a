"""The study of pruning, by the real script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path("study/pruning.py")


def test_rows_are_kept_and_show_the_law_and_the_layers_that_empty(
    call_here: Callable[..., Any], tmp_path: Path
) -> None:
    arguments = (SCRIPT, "--rows", "sampling", "layers", "--seeds", 0)
    first = call_here(*arguments)
    assert first.returncode == 0
    file = tmp_path / "docs/results/methods/pruning.jsonl"
    rows = {row["name"]: row for row in map(json.loads, file.read_text().splitlines())}
    few, many = (rows[f"sampling, {m}, seed 0"] for m in (50, 800))
    assert few["error"] / many["error"] == pytest.approx(4, rel=0.4)
    for row in (few, many):
        assert row["error"] < row["part_error"] < row["bound"]
        assert (row["broken"], row["tested"]) == (0, 2 * 64 * 1744)
    assert rows["layers, 2, seed 0"]["empty"] > 10
    assert rows["layers, 1, seed 0"]["empty"] == 0 < rows["layers, 1, seed 0"]["least"]
    assert f"| 50 | {few['channels']:.1f} | {few['error']:.2f} |" in first.stdout
    written = file.stat().st_mtime_ns
    assert call_here(*arguments).stdout == first.stdout
    assert file.stat().st_mtime_ns == written


@pytest.mark.slow
def test_pruned_and_widened_networks_learn(call_here: Callable[..., Any], tmp_path: Path) -> None:
    assert call_here(SCRIPT, "--rows", "filters", "hybrid", "--seeds", 0).returncode == 0
    file = tmp_path / "docs/results/methods/pruning.jsonl"
    rows = {row["name"]: row for row in map(json.loads, file.read_text().splitlines())}
    for kind in ("random", "hybrid", "deterministic"):
        row = rows[f"filters, {kind}, keep 0.5, seed 0"]
        assert row["trained"] > max(row["at_once"], 0.95)
        assert row["kept"] < 0.6
    chosen = rows["hybrid, hybrid, 4 bits in significant layers, seed 0"]
    chance = rows["hybrid, 4 bits in as many layers by chance, seed 0"]
    assert 1 <= chosen["widened"] == chance["widened"] < 6
    assert rows["hybrid, 4 bits in all, seed 0"]["oa"] > rows["hybrid, 1 bit, seed 0"]["oa"] + 0.02
