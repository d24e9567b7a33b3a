"""Macro files and macros that are refused, each in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pim_sim import InputError
from pim_sim.hardware import MACROS, CellArray, Converter, Input, Logic, Macro

MACRO = MACROS.file("sinangil_2021").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("schema = 1", "schema = 2", "schema: found 2"),
        ("schema = 1", "schema = 1\ncolour = 3", "unknown field 'colour'"),
        ("node_nm = 7", "node_nm = -7", "node_nm: found -7"),
        ("node_nm = 7", "", "missing field 'node_nm'"),
        ("supply_v = 0.8", "supply_v = 80", "supply_v: found 80, expected a number from 0.3 to 5"),
        ("rows = 64", "rows = 0", "array.rows: found 0"),
        ("rows = 64", "", "array: missing field 'rows'"),
        ("rows = 64", "rows = [64]", "array.rows: found [64]"),
        ("columns = 64", "columns = {}", "array.columns: found {}"),
        ("bits_per_step = 4", "bits_per_step = 4.5", "input.bits_per_step: found 4.5"),
        ("columns = 64", "columns = 3", "array.columns: found 3, expected at least columns_merged"),
        ('cell = "sram_8t"', 'cell = "magic"', "found 'magic', expected one of sram_6t"),
        ('cell = "sram_8t"', 'cell = "digital"', "converter: found 'a table', expected none"),
        ("bits = 4\n", "bits = 40\n", "converter.bits: found 40, expected a whole number"),
        ('kind = "flash"', 'kind = "flash"\nleak = 1', "converter: unknown field 'leak'"),
        ("bits_per_step = 4", "bits_per_step = 13", "input.bits_per_step: found 13"),
        ("cycle_ns = 5.5", "cycle_ns = 0", "cycle_ns: found 0"),
        ('[converter]\nbits = 4\nkind = "flash"', "", "missing table 'converter'"),
        ("[input]", "[input]\nmean = 2", "input.mean: found 2"),
        ("[input]", "[logic]\nbooth = 1\n[input]", "logic.booth: found 1, expected true or false"),
        ("[array]", "[array", "not TOML"),
    ],
)  # fmt: skip
def test_bad_macro_file_is_one_line(
    old: str, new: str, named: str, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    assert old in MACRO
    path = tmp_path / "mine.toml"
    path.write_text(MACRO.replace(old, new), encoding="utf-8")
    line = one_line_refusal("macro", str(path))
    assert str(path) in line
    assert named in line


PAPER: dict[str, Any] = {
    "name": "paper",
    "description": "two by two",
    "node_nm": 28,
    "supply_v": 1,
    "array": CellArray(cell="charge", rows=2, columns=2),
    "input": Input(),
    "converter": Converter(bits=2),
    "logic": Logic(),
}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"array": CellArray(cell="charge", rows=2, columns=4, bits_per_cell=4)},
         "array.bits_per_cell: found 4"),
        ({"array": CellArray(cell="sram_6t", rows=2, columns=4, bits_per_cell=2)},
         "only a cell read by current keeps several levels"),
        ({"array": CellArray(cell="sram_6t", rows=2, columns=4, swing_v=1.2)},
         "array.swing_v: found 1.2, expected at most supply_v (1)"),
        ({"array": CellArray(cell="rram", rows=2, columns=4, read_v=1.2)},
         "array.read_v: found 1.2, expected at most supply_v (1)"),
        ({"array": CellArray(cell="rram", rows=2, columns=4, unit_ff=2)}, "array.unit_ff"),
        ({"input": Input(bits_per_step=4)}, "input.bits_per_step: found 4, expected 1 on analog"),
        ({"logic": Logic(booth=True)}, "logic.booth: found True"),
        ({"logic": Logic(adder="chain")}, "logic.adder: found 'chain'"),
        ({"array": CellArray(cell="digital", rows=2, columns=4, bits_per_cell=2),
          "converter": None}, "array.bits_per_cell: found 2"),
        ({"array": CellArray(cell="digital", rows=2, columns=4), "converter": None,
          "input": Input(steps_per_conversion=2)}, "input.steps_per_conversion: found 2"),
    ],
)  # fmt: skip
def test_impossible_hardware_and_fields_without_effect_are_refused(
    changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError) as refused:
        Macro(**{**PAPER, **changes})
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["macro", "wang_2022", "--input-bits", "0"], "input bits: found 0"),
        (["macro", "wang_2022", "--weight-bits", "17"], "weight bits: found 17"),
        (["macro", "wang_2023"], "or one of chih_2021"),
        (["macro", "nowhere.toml"], "nowhere.toml: No such file"),
        (["validate", "me"], "'me'"),
    ],
)
def test_wrong_use_of_macro_and_validate_is_one_line(
    arguments: list[str], named: str, one_line_refusal: Callable[..., str]
) -> None:
    assert named in one_line_refusal(*arguments)


def test_weight_wider_than_all_columns_is_refused(
    one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "narrow.toml"
    path.write_text(MACRO.replace("columns = 64", "columns = 4"), encoding="utf-8")
    line = one_line_refusal("macro", str(path), "--weight-bits", "8")
    assert "array.columns: found 4, expected columns for a weight of 8 bits" in line
