"""A new kind of memory cell in one file outside of the package, used by the real command lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pim_sim import Cell, load_hardware
from pim_sim.cost_model import calibrated
from pim_sim.hardware import HARDWARE

RRAM = HARDWARE.file("rram_65nm").read_text(encoding="utf-8")

FEFET = """
[macro.array.cell]        # a new kind: a ferroelectric transistor
area_6t = 0.3             # areas of a 6T cell (chosen)
row_transistors = 1       # transistors on the line of a row: its gate (chosen)
read = "current"
conductance_us = 0.5      # uS, mean of a cell (chosen)
volatile = false
write_pulses = 1          # pulses that write a cell (chosen)
write_pulse_pj = 0.001    # pJ per pulse (chosen)
write_pulse_ns = 100      # ns per pulse (chosen)
"""
PLUGIN = """
from pim_sim import CELLS, READS, Cell

@READS.register("constant_charge")
def constant_charge(cell, step):
    return step.cells * 2.0 * step.supply_v

CELLS.register("toy")(Cell(area_6t=1.0, row_transistors=1, read="constant_charge"))
"""
LAYER = {
    "name": "conv1",
    "kind": "conv2d",
    "input_shape": [2, 5, 5],
    "weight_shape": [4, 2, 3, 3],
    "stride": [1, 1],
    "padding": [0, 0],
    "weight_bits": 6,
    "input_bits": 8,
    "signed": True,
    "time_steps": 1,
    "input_density": 1.0,
    "repeats_input": True,
}


def _with_own_cell(cell: str) -> str:
    """Return a shipped hardware file with its named kind of cell replaced by a table."""
    named = 'cell = "rram"\n'
    assert named in RRAM
    return RRAM.replace(named, "").replace("[macro.input]", f"{cell}\n[macro.input]")


@pytest.fixture
def workload(tmp_path: Path) -> str:
    path = tmp_path / "workload.json"
    content = {"schema": 1, "name": "tiny", "layers": [LAYER]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of the packages in its own process, away from the checkout."""

    def run(program: str, *arguments: str, plugins: str = "") -> subprocess.CompletedProcess[str]:
        package = {"pim-sim": "pim_sim", "snnquant": "snnquant"}[program]
        code = f"from {package}.cli import main; main()"
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "SNNQUANT_PLUGINS": plugins,
        }
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
        )

    return run


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_new_cell_is_one_table_of_the_hardware_file(
    workload: str, tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    file = tmp_path / "fefet.toml"
    file.write_text(_with_own_cell(FEFET), encoding="utf-8")
    checked = command("pim-sim", "hardware", "check", str(file))
    assert (checked.returncode, checked.stderr) == (0, "")
    own, shipped = (
        _answer(command("pim-sim", "run", "--workload", workload, "--hardware", name, "--json"))[
            "breakdown"
        ]["in_memory"]
        for name in (str(file), "rram_65nm")
    )
    assert own["cells"]["energy_pj"] < shipped["cells"]["energy_pj"]
    assert own["input_drivers"]["energy_pj"] < shipped["input_drivers"]["energy_pj"]
    assert own["weight_loading"] != shipped["weight_loading"]
    assert own["converters"] == shipped["converters"]


def test_table_with_the_values_of_a_named_kind_gives_its_numbers(
    workload: str, tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    kind = load_hardware("rram_65nm").engine.array.kind  # type: ignore[union-attr]
    lines = []
    for field in fields(Cell):
        value = getattr(kind, field.name)
        if value is not None:
            lines.append(f"{field.name} = {json.dumps(value)}  # as RRAM")
    file = tmp_path / "copy.toml"
    text = _with_own_cell("\n".join(["[macro.array.cell]", *lines]))
    file.write_text(text, encoding="utf-8")
    arguments = ["run", "--workload", workload, "--json", "--hardware"]
    own, shipped = (_answer(command("pim-sim", *arguments, h)) for h in (str(file), "rram_65nm"))
    assert {**own, "hardware": ""} == {**shipped, "hardware": ""}


def test_cell_and_its_physics_in_a_plugin(
    workload: str, tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    plugin, file = tmp_path / "toy_cell.py", tmp_path / "toy.toml"
    plugin.write_text(PLUGIN, encoding="utf-8")
    file.write_text(RRAM.replace('cell = "rram"', 'cell = "toy"'), encoding="utf-8")
    arguments = ["run", "--workload", workload, "--hardware", str(file), "--json"]
    parts = _answer(command("pim-sim", *arguments, plugins=str(plugin)))["breakdown"]["in_memory"]
    # 4 filters of 18 products at 9 positions; 7 magnitude bits of the input; 6-bit weights are two
    # columns, of 3 and 2 bits of magnitude, in two rows for the sign; 2 fJ per cell at 1 V, scaled
    # as fitted to chips with capacitors
    cells = 4 * 18 * 9 * 7 * 2 * 2
    assert parts["cells"]["energy_pj"] == pytest.approx(cells * 2.0 * calibrated().array * 1e-3)
    unknown = command("pim-sim", *arguments)
    assert unknown.returncode == 2
    assert "array.cell: found 'toy', expected one of sram_6t" in unknown.stderr


def test_fields_of_the_cell_can_be_swept(
    workload: str, tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    file = tmp_path / "fefet.toml"
    file.write_text(_with_own_cell(FEFET), encoding="utf-8")
    axis = ["--axis", "macro.array.cell.conductance_us=0.1,0.5,2.5"]
    options = ["--workload", workload, "--hardware", str(file), "--json"]
    front = _answer(command("pim-sim", "sweep", *options, *axis))["pareto"]
    assert front[0]["macro.array.cell.conductance_us"] == 0.1


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("area_6t = 0.3 ", "area_6t = -1 ", "macro: array.cell.area_6t: found -1"),
        ('read = "current"', 'read = "hope"', "array.cell.read: found 'hope', expected one of"),
        ("volatile", "lasting", "array.cell: unknown field 'lasting'"),
        ("row_transistors = 1 ", "# ", "array.cell: missing field 'row_transistors'"),
        ("# uS, mean of a cell (chosen)", "", "conductance_us: found ''"),
        ("write_pulses = 1 ", "# ", "expected all three or none"),
        ("conductance_us = 0.5 ", "# ", "array.cell: missing field 'conductance_us'"),
    ],
)
def test_bad_cell_is_one_line(
    old: str,
    new: str,
    named: str,
    tmp_path: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert old in FEFET
    file = tmp_path / "fefet.toml"
    file.write_text(_with_own_cell(FEFET.replace(old, new)), encoding="utf-8")
    refused = command("pim-sim", "hardware", "check", str(file))
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert named in refused.stderr


@pytest.mark.slow
def test_a_run_on_hardware_with_a_new_cell(
    tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    file = tmp_path / "fefet.toml"
    file.write_text(_with_own_cell(FEFET), encoding="utf-8")
    short = [f"--{stage}-epochs=1" for stage in ("cnn", "quantized", "snn")]
    options = [
        "--scene",
        "synthetic:16x15x20",
        "--model",
        "cnn32h",
        "--widths",
        "2",
        "3",
        "4",
        "3",
        "--output",
        "run",
    ]
    metrics = _answer(
        command("snnquant", "run", *options, *short, "--hardware", str(file), "--json")
    )
    assert metrics["pim"]["hardware"] == str(file)
    answer = _answer(command("pim-sim", "run", "--run", "run", "--hardware", str(file), "--json"))
    assert answer["ratio"]["energy"] == metrics["pim"]["energy"]
