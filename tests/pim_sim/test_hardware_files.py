from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pim_sim import InputError, load_hardware
from pim_sim.hardware import HARDWARE
from pim_sim.technology import energy_ratio

SOURCED = HARDWARE.file("sram_65nm").read_text(encoding="utf-8")


def _line_of(field: str) -> str:
    (line,) = re.findall(rf"^{field} = .*$", SOURCED, flags=re.MULTILINE)
    return line


def _numbers_of(table: dict[str, Any]) -> int:
    """Count the numbers in a table and the tables in it; a flag is none."""
    return sum(
        _numbers_of(value) if isinstance(value, dict) else type(value) in (int, float)
        for value in table.values()
    )


@pytest.mark.parametrize("name", HARDWARE.names())
def test_every_number_of_a_shipped_file_says_its_unit_and_source(name: str) -> None:
    text = HARDWARE.file(name).read_text(encoding="utf-8")
    numbers = [line for line in text.splitlines() if re.match(r"(?!schema)\w+ = [\d.]", line)]
    assert len(numbers) == _numbers_of(tomllib.loads(text)) - 1  # the schema needs no source
    for line in numbers:
        value, _, comment = line.partition("#")
        unit = re.search(r"_(pj|ns|nm|v) = ", value)
        assert len(comment.split()) >= 3, line
        if unit:
            assert comment.strip().lower().startswith(unit[1]), line


@pytest.mark.parametrize("name", HARDWARE.names())
def test_shipped_file_is_named_after_itself_and_described(name: str) -> None:
    hardware = load_hardware(name)
    assert hardware.name == name
    assert f"{hardware.node_nm:.0f} nm" in hardware.description


def test_shipped_numbers_follow_the_rules_their_comments_name() -> None:
    # pitch of 6T cells and V^2 from 45 nm at 0.9 V to 65 nm at 1.0 V; the cell of 45 nm lies on the
    # power law between 0.242 um2 at 40 and 0.525 um2 at 65 nm
    power = math.log(0.525 / 0.242) / math.log(65 / 40)
    pitch = math.sqrt((65 / 45) ** power)
    energy = pitch * (1.0 / 0.9) ** 2
    delay = pitch * (1.0 / 0.65**1.3) / (0.9 / 0.55**1.3)
    assert energy_ratio(45, 0.9, 65, 1.0) == pytest.approx(energy)
    at_65, at_45 = load_hardware("sram_65nm"), load_hardware("sram_45nm")
    assert at_65.digital.add_energy_pj == pytest.approx(0.03 * energy, rel=1e-3)
    assert at_45.engine.array.accumulate_energy_pj == pytest.approx(
        at_65.engine.array.accumulate_energy_pj / energy, rel=1e-3
    )
    assert at_45.digital.multiply_time_ns == pytest.approx(
        at_65.digital.multiply_time_ns / delay, rel=2e-3
    )
    for hardware in (at_65, at_45):
        a_bit = hardware.memory.read_energy_pj / hardware.memory.word_bits
        assert hardware.engine.array.functional_read_energy_pj == pytest.approx(a_bit)


def test_file_of_the_user_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SOURCED.replace("banks = 4", "banks = 8"), encoding="utf-8")
    assert load_hardware(path).name == "mine"
    assert load_hardware(str(path)).memory.banks == 8


ADC_STATED = """energy_law = "stated"
energy_pj = 2.0  # pJ, measured
time_law = "stated"
time_ns = 8.0    # ns, measured
"""


def test_adc_may_state_its_own_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SOURCED.partition("energy_law")[0] + ADC_STATED, encoding="utf-8")
    adc = load_hardware(path).engine.adc
    assert adc.conversion_energy_pj(node_nm=7, time_ns=1) == 2.0
    assert adc.conversion_time_ns(node_nm=7, shared_columns=1) == 8.0


CHANGED_LINES = [
    ("schema", "schema = 2", "schema: found 2"),
    ("schema", "schema = true", "schema"),
    ("schema", "", "missing field 'schema'"),
    ("description", 'description = ""', "description"),
    ("description", "description = 65", "description"),
    ("node_nm", "node_nm = -65", "node_nm: found -65"),
    ("node_nm", 'node_nm = "65 nm"', "node_nm"),
    ("node_nm", "node_nm = 0.065", "from 1 to 1000"),
    ("word_bits", "word_bits = 64.5", "memory.word_bits"),
    ("banks", "banks = 0", "memory.banks"),
    ("banks", "", "memory: missing field 'banks'"),
    ("banks", "banks = 4\ncolour = 1", "memory: unknown field 'colour'"),
    ("read_energy_pj", "read_energy_pj = -5.2", "memory.read_energy_pj: found -5.2"),
    ("read_energy_pj", "read_energy_pj = 0", "memory.read_energy_pj"),
    ("read_energy_pj", "read_energy_pj = nan", "memory.read_energy_pj"),
    ("read_energy_pj", "read_energy_pj = inf", "memory.read_energy_pj"),
    ("read_energy_pj", "read_energy_pj = true", "memory.read_energy_pj"),
    ("read_time_ns", "read_time_ns = 1e9", "to 1e+06"),
    ("multipliers", "multipliers = false", "digital.multipliers"),
    ("rows", "rows = 5", "array.rows: found 5, expected at least weight_bits_per_column (6)"),
    ("columns", "columns = 9999999999", "array.columns"),
    ("bits", "bits = 30", "adc.bits: found 30, expected a whole number from 1 to 24"),
    ("energy_law", 'energy_law = "hope"', "one of accelergy, typical, stated"),
    ("energy_law", "energy_law = 3", "adc.energy_law"),
    ("energy_law", 'energy_law = "stated"', "adc: missing field 'energy_pj'"),
    ("energy_law", 'energy_law = "accelergy"\nenergy_pj = 1', "adc.energy_pj"),
    ("time_law", 'time_law = "stated"\ntime_ns = -1', "adc.time_ns: found -1"),
    ("time_law", 'time_law = "zigzag"\ntime_us = 1', "adc: unknown field 'time_us'"),
]


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("banks", "banks = 4"),
        ("read_energy_pj", "read_energy_pj = 5.2  # pJ"),
        ("rows", "rows = +5_12 #"),
        ("node_nm", "node_nm = 65.0"),
    ],
)
def test_number_without_unit_and_source_is_one_line(
    field: str, line: str, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SOURCED.replace(_line_of(field), line), encoding="utf-8")
    named = f"{field}: found {line.partition('#')[2].strip()!r}, expected its unit and source"
    assert named in one_line_refusal("hardware", "check", str(path))


def test_numbers_in_words_need_no_source(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    line = 'description = "a # of 28 nm, x = 3"'
    path.write_text(SOURCED.replace(_line_of("description"), line), encoding="utf-8")
    assert load_hardware(path).description == "a # of 28 nm, x = 3"


@pytest.mark.parametrize(("field", "line", "named"), CHANGED_LINES)
def test_bad_hardware_file_is_one_line_that_names_table_and_field(
    field: str, line: str, named: str, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SOURCED.replace(_line_of(field), line), encoding="utf-8")
    refusal = one_line_refusal("hardware", "check", str(path))
    assert str(path) in refusal
    assert named in refusal


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"schema = 1", "missing field 'description'"),
        (b"schema = ", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (SOURCED.encode() + b"[extra]\n", "unknown field 'extra'"),
        (SOURCED.encode() + b"[adc]\n", "not TOML"),
        (SOURCED.partition("[memory]")[0].encode() + b"memory = 3", "missing field 'digital'"),
        (b"memory = 3\n" + re.sub(r"(?s)\[memory\].*?\n\n", "", SOURCED).encode(), "memory: found"),
    ],
    ids=["cut off", "no value", "not UTF-8", "extra table", "twice", "too few", "no table"],
)
def test_file_that_is_no_hardware_is_one_line(
    content: bytes, named: str, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    refusal = one_line_refusal("hardware", "check", str(path))
    assert str(path) in refusal
    assert named in refusal


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="rram_65nm, sram_45nm, sram_65nm"):
        load_hardware("sram_66nm")
