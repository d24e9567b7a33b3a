"""Cost tables from outside of the package: the page's TOML file and its class, on a real run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snnquant.energy import WidthTable, load_costs, read_cost_table
from snnquant.energy.cost_tables import COST_VARIABLE
from snnquant.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "accuracy_and_energy.md"
TOML, PLUGIN = (
    re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[0]
    for kind in ("toml", "python")
)
COMMANDS = """
import sys
from snnquant.cli import main
main(sys.argv[1:])
"""
FEW = [f"--{stage}-epochs=1" for stage in ("cnn", "quantized", "snn")]


def run(folder: Path, *command: str) -> Any:
    environment = os.environ | {
        COST_VARIABLE: str(folder / "my_28nm.toml"),
        "SNNQUANT_PLUGINS": str(folder / "gates.py"),
    }
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_file_and_a_class_are_in_every_report(tmp_path: Path) -> None:
    (tmp_path / "my_28nm.toml").write_text(TOML)
    (tmp_path / "gates.py").write_text(PLUGIN)
    small = [
        "--scene",
        "synthetic:16x15x20",
        "--model",
        "cnn32h",
        "--widths",
        "2",
        "3",
        "4",
        "3",
        *FEW,
    ]
    metrics = run(tmp_path, "run", *small, "--output", str(tmp_path / "run"), "--json")
    assert next(iter(metrics["energy_pj"])) == "horowitz_widths"
    mine, shipped = metrics["energy_pj"]["my_28nm"], metrics["energy_pj"]["horowitz_widths"]
    assert all(0 < mine[network] < shipped[network] for network in shipped)
    assert metrics["effort"]["gates"]["snn_trained"] > 0
    rows = run(tmp_path, "energy", str(tmp_path / "run"), "--json")
    trained = [row for row in rows if row["network"] == "snn_trained"]
    for name, quantity in (("my_28nm", "energy_pj"), ("gates", "effort")):
        whole = sum(row[quantity][name] for row in trained)
        assert whole == pytest.approx(metrics[quantity][name]["snn_trained"])
    assert "Energy, pJ" in (tmp_path / "run" / "report.html").read_text()
    assert "gates" in (tmp_path / "run" / "report.html").read_text()


def test_the_page_prices_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "my_28nm.toml"
    file.write_text(TOML)
    table = read_cost_table(file)
    assert isinstance(table, WidthTable)
    assert (table.multiply(8, 8), table.add(32)) == (0.07, 0.035)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('widths = "operands"', "", "widths: found None, expected weight or operands"),
        ("add_float32 = 0.4", "", "add_float32: found none, expected a value"),
        ("add_float32 = 0.4", 'add_float32 = "a"', "add_float32: found 'a', expected a number"),
        ("add_float32 = 0.4", "add_float32 = -1", "add_float32: found -1, expected a number"),
        ("add_float32", "added = 3\nadd_float32", "found added, expected one of description"),
        ("8 = 0.07\n", "", "multiply_integer: found {'32': 1.1}, expected energies in pJ of two"),
        ("8 = 0.01", "8 = true", "add_integer: found True, expected a number above 0"),
        ("description", "description = 3 #", "description: found 3, expected text"),
        ("= 0.4", "= ", "cannot be read"),
    ],
)
def test_a_wrong_file_is_one_line(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(TOML.replace(old, new, 1))
    monkeypatch.setenv(COST_VARIABLE, str(file))
    with pytest.raises(InputError) as error:
        load_costs()
    assert str(error.value).startswith(f"{file}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_that_is_taken_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "horowitz.toml"
    file.write_text(TOML)
    monkeypatch.setenv(COST_VARIABLE, str(file))
    with pytest.raises(InputError, match="found the name of another cost table"):
        load_costs()
