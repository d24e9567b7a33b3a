"""The study of rules that act in training, by the real script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path("study/training_rules.py")


def rows_of(folder: Path) -> dict[str, Any]:
    text = (folder / "docs/results/methods/training_rules.jsonl").read_text()
    return {row["name"]: row for row in map(json.loads, text.splitlines())}


def test_supports_are_recovered_by_expected_coarse_gradients(
    call_here: Callable[..., Any], tmp_path: Path
) -> None:
    """The copies' zeros are the truth's; l1 and tl1 turn the weights, l0 does not."""
    arguments = (SCRIPT, "--rows", "support", "--seeds", 3)
    first = call_here(*arguments)
    assert first.returncode == 0
    rows = rows_of(tmp_path)
    for name in ("l0", "l1", "tl1"):
        row = rows[f"support, {name}, seed 3"]
        assert (row["false"], row["missed"]) == (0, 0)
        assert row["angle"] < 0.1
    assert rows["support, none, seed 3"]["false"] == 45
    assert rows["support, l0, seed 3"]["angle"] < 1e-3 < rows["support, l1, seed 3"]["angle"]
    assert "| support, l0 | " in first.stdout
    assert call_here(*arguments).stdout == first.stdout


@pytest.mark.slow
def test_bits_follow_the_hardwares_weight_and_the_budget(
    call_here: Callable[..., Any], tmp_path: Path
) -> None:
    assert call_here(SCRIPT, "--rows", "adaqat", "cgmq", "--seeds", 0).returncode == 0
    rows = rows_of(tmp_path)
    bits = [rows[f"adaqat, hardware {value:g}, seed 0"] for value in (0.1, 0.5, 2.0, 8.0)]
    assert [row["mean_bits"] for row in bits] == sorted(
        (r["mean_bits"] for r in bits), reverse=True
    )
    assert bits[0]["mean_bits"] > bits[-1]["mean_bits"]
    assert all(row["accuracy"] > 0.94 for row in bits)
    for budget in (2.5, 3.0, 4.0, 5.0, 6.5):
        assert rows[f"cgmq, budget {budget:g}, seed 0"]["mean_bits"] <= budget
