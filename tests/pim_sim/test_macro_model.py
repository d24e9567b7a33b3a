from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim.cli import main
from pim_sim.cost_model import Scales, price
from pim_sim.hardware import (
    CELLS,
    MACROS,
    CellArray,
    Converter,
    Input,
    Logic,
    Macro,
    load_macro,
)
from pim_sim.technology import Node, sram_cell_um2

ONES = Scales()


def _macro(**changes: Any) -> Macro:
    """Build a charge-domain macro of 2 rows and 2 columns at 28 nm and 1 V, for sums on paper."""
    parts: dict[str, Any] = {
        "name": "paper",
        "description": "two by two",
        "node_nm": 28,
        "supply_v": 1,
        "array": CellArray(cell="charge", rows=2, columns=2, cell_um2=1.0, unit_ff=2.0),
        "input": Input(),
        "converter": Converter(bits=2),
        "logic": Logic(),
        "cycle_ns": 10,
    }
    return Macro(**{**parts, **changes})


def test_two_by_two_charge_macro_on_paper() -> None:
    # A line passes a cell of 1 um: 0.2 fF, with two transistors of 0.7 / 4 fF: 0.55 fF. Two rows of
    # two cells, high half of the time: 2 x 2 x 0.55 x 0.5 = 1.1 fJ. A cell drives 2 fF, two gates
    # of 0.7 fF and a line of 0.2 + 0.175 fF: 4 x 3.775 x 0.5 = 7.55 fJ. At 100 MS/s a conversion of
    # two bits takes 2 x 100 fF and 0.001 x 16 fF: two columns 400.032 fJ. Control is 5 % on top.
    # 4 products; the 1-bit product needs no addition.
    priced = price(_macro(), 1, 1, ONES)
    assert priced.breakdown_fj == pytest.approx(
        {
            "input_drivers": 1.1 / 4,
            "dac": 0,
            "cells": 7.55 / 4,
            "adders": 0,
            "converters": 400.032 / 4,
            "control": 0.05 * 408.682 / 4,
            "shift_and_add": 0,
        }
    )
    # 4 products in 10 ns are 8 operations: 0.8 GOPS
    assert priced.tops == pytest.approx(0.8e-3)
    assert priced.tops_per_watt == pytest.approx(2e3 / (408.682 * 1.05 / 4))


def test_bits_take_steps_columns_and_additions_on_paper() -> None:
    # 2-bit weights take both columns, so one output; 3-bit inputs take 3 steps: 6 conversions,
    # put together by 5 additions of 2 + 2 + 3 - 1 = 6 bits, each bit half of 6 gates and 3 gates.
    priced = price(_macro(), 3, 2, ONES)
    assert priced.breakdown_fj["converters"] == pytest.approx(6 * 200.016 / 2)
    assert priced.breakdown_fj["shift_and_add"] == pytest.approx(5 * 6 * 6 * 0.7 / 2)
    assert priced.tops == pytest.approx(2e-3 * 2 / 30)


@pytest.mark.parametrize(("kind", "decisions"), [("sar", 3), ("flash", 3.5), ("ramp", 4)])
def test_decisions_of_each_converter_on_paper(kind: Any, decisions: float) -> None:
    # 3 bits: one decision a bit; 7 comparators that count half; half of 8 levels. 0.001 fF x 64
    macro = _macro(converter=Converter(bits=3, kind=kind))
    converters = price(macro, 1, 1, ONES).breakdown_fj["converters"]
    assert converters == pytest.approx((100 * decisions + 0.064) / 2)
    known = _macro(converter=Converter(bits=3, kind=kind, energy_pj=0.5))
    assert price(known, 1, 1, ONES).breakdown_fj["converters"] == pytest.approx(500 / 2)


@pytest.mark.parametrize(("kind", "turns"), [("sar", 3), ("flash", 1), ("ramp", 8)])
def test_step_lasts_as_long_as_its_input_and_conversions_in_turn(kind: Any, turns: int) -> None:
    # 28 nm at 0.9 V: a decision of 0.00653 x 2 + 0.640 ns, an input of 20 gates of 0.0478 ns; one
    # converter for two columns converts twice
    single = _macro(cycle_ns=None, supply_v=0.9, converter=Converter(bits=3, kind=kind, count=1))
    assert price(single, 1, 1).cycle_ns == pytest.approx(2 * turns * 0.65306 + 0.956)


def test_copies_add_throughput_and_area_and_share_nothing() -> None:
    one, four = (price(_macro(copies=copies), 4, 1) for copies in (1, 4))
    assert four.tops == pytest.approx(4 * one.tops)
    assert four.area_mm2 == pytest.approx(4 * one.area_mm2)
    assert four.energy_per_mac_fj == one.energy_per_mac_fj


def test_two_input_bits_in_a_step_of_a_tree_on_paper() -> None:
    # operands of 3 bits: 4 x 4 - (3 + 2 + 1) = 10 adders, and 4 x 2 to multiply by the second bit,
    # which Booth's code spares
    array = CellArray(cell="digital", rows=4, columns=2, columns_merged=2, cell_um2=1.0)
    for booth, adders in ((True, 10), (False, 18)):
        macro = _macro(
            array=array, converter=None, input=Input(bits_per_step=2), logic=Logic(booth=booth)
        )
        priced = price(macro, 2, 2, ONES).breakdown_fj["adders"]
        assert priced == pytest.approx(adders * 6 * 0.7 * 0.375 / 4)


def test_bit_lines_on_paper() -> None:
    # a 6T cell of 1 um: a row passes two transistors, 0.2 + 2 x 0.175 = 0.55 fF, a column one,
    # 0.375 fF, that falls by half of 1 V: 4 x 0.375 x 0.5 fJ; with 3 fF a cell, 4 x 3 x 0.5 fJ
    array = CellArray(cell="sram_6t", rows=2, columns=2, cell_um2=1.0)
    plain = price(_macro(array=array), 1, 1, ONES).breakdown_fj
    assert plain["cells"] == pytest.approx(4 * 0.375 * 0.5 / 4)
    assert plain["input_drivers"] == pytest.approx(4 * 0.55 * 0.5 / 4)
    heavy = price(_macro(array=replace(array, line_ff=3.0)), 1, 1, ONES).breakdown_fj
    assert heavy["cells"] == pytest.approx(4 * 3.0 * 0.5 / 4)
    fallen = price(_macro(array=replace(array, swing_v=0.1)), 1, 1, ONES).breakdown_fj
    assert fallen["cells"] == pytest.approx(4 * 0.375 * 0.1 / 4)


def test_rram_cells_on_paper() -> None:
    # 2 uS read at 0.5 V for 10 ns: 10 fC; a line of 0.2 + 0.175 fF: 0.1875 fC; times 0.5 V, half of
    # the inputs high
    array = CellArray(cell="rram", rows=2, columns=2, cell_um2=1.0, conductance_us=2.0)
    priced = price(_macro(array=array), 1, 1, ONES).breakdown_fj
    assert priced["cells"] == pytest.approx((10 + 0.1875) * 0.5 * 0.5)


def test_digital_tree_on_paper() -> None:
    # 4 rows of one 2-bit weight: 4 x 3 - (2 + 2 + 1) = 7 adders of 6 gates that change
    # 2 x 0.25 x 0.75 = 0.375 of the time: 7 x 6 x 0.7 x 0.375 = 11.025 fJ for 4 products.
    array = CellArray(cell="digital", rows=4, columns=2, columns_merged=2, cell_um2=1.0)
    priced = price(_macro(array=array, converter=None), 1, 2, ONES)
    assert priced.breakdown_fj["adders"] == pytest.approx(11.025 / 4)
    # a NOR for each of 8 bits, one input moving half of the time
    assert priced.breakdown_fj["cells"] == pytest.approx(8 * 0.35 * 0.5 / 4)
    assert priced.breakdown_fj["converters"] == 0


def test_chain_makes_its_sums_as_wide_as_the_bits_ask() -> None:
    # 128 columns: 128 rows add 7 bits, so a 1-bit weight takes 8 columns and an 8-bit one 15
    colonnade = load_macro("colonnade_2021")
    macs = 128 * 16
    assert price(colonnade, 1, 1).tops == pytest.approx(2e-3 * macs / 10)
    assert price(colonnade, 8, 8).tops == pytest.approx(2e-3 * 128 * 8 / 80)


def test_steps_gathered_before_a_conversion_are_converted_once() -> None:
    gathered = _macro(input=Input(steps_per_conversion=3))
    for bits, conversions in ((1, 1), (3, 1), (4, 2), (7, 3)):
        converters = price(gathered, bits, 1, ONES).breakdown_fj["converters"]
        assert converters == pytest.approx(conversions * 200.016 / 2)


@pytest.mark.parametrize("name", MACROS.names())
def test_shipped_macros_have_the_energy_of_their_parts(name: str) -> None:
    macro = load_macro(name)
    for input_bits in (1, 4, 8):
        for weight_bits in (1, 4, 8):
            priced = price(macro, input_bits, weight_bits)
            assert sum(priced.breakdown_fj.values()) == pytest.approx(priced.energy_per_mac_fj)
            assert min(priced.breakdown_fj.values()) >= 0
            assert priced.tops_per_watt == pytest.approx(2e3 / priced.energy_per_mac_fj)
            assert priced.tops_per_mm2 == pytest.approx(priced.tops / priced.area_mm2)


def test_printed_throughput_and_area_come_out_where_the_chip_files_give_the_cycle() -> None:
    assert price(load_macro("jia_2020"), 1, 1).tops == pytest.approx(0.874, rel=0.01)
    assert price(load_macro("sinangil_2021"), 4, 4).tops == pytest.approx(0.3724, rel=0.01)
    wang = price(load_macro("wang_2022"), 8, 8)
    assert wang.tops_per_mm2 == pytest.approx(3.596, rel=0.01)
    # areas that the files leave to the model, against the printed ones: within a factor of 1.5
    for name, printed_mm2 in (("wang_2022", 0.124), ("colonnade_2021", 0.2272)):
        modelled = price(replace(load_macro(name), area_mm2=None), 8, 8).area_mm2
        assert 1 / 1.5 < modelled / printed_mm2 < 1.5
    assert 1 / 1.5 < price(load_macro("jia_2020"), 1, 1).area_mm2 / (2.91 + 0.497) < 1.5


@st.composite
def _macros(draw: st.DrawFn) -> Macro:
    cell = draw(st.sampled_from(CELLS.names()))
    merged = draw(st.sampled_from([1, 2, 4]))
    encodings = ["bit_serial", "dac", "pulse_count", "pulse_width"]
    return Macro(
        name="any",
        description="any",
        node_nm=draw(st.floats(5, 180)),
        supply_v=draw(st.floats(0.5, 1.5)),
        array=CellArray(
            cell=cell,
            rows=draw(st.integers(2, 512)),
            columns=16 * merged * draw(st.integers(1, 8)) * 2,
            columns_merged=merged,
            signed=draw(st.sampled_from(["offset", "differential_rows", "differential_columns"])),
        ),
        input=Input(
            encoding="bit_serial" if cell == "digital" else draw(st.sampled_from(encodings)),
            bits_per_step=draw(st.integers(1, 4)),
            mean=draw(st.floats(0.05, 0.5)),
        ),
        converter=None if cell == "digital" else Converter(
            bits=draw(st.integers(2, 8)), kind=draw(st.sampled_from(["sar", "flash", "ramp"]))
        ),
        logic=Logic(adder=draw(st.sampled_from(["tree", "chain"]))),
        cycle_ns=draw(st.none() | st.floats(1, 100)),
    )  # fmt: skip


@settings(deadline=None)
@given(macro=_macros(), bits=st.integers(1, 7))
def test_more_bits_supply_and_node_never_cost_less_energy(macro: Macro, bits: int) -> None:
    # a slower step lowers the rate of the converters and so their energy: here it stands still
    fixed = replace(macro, cycle_ns=price(macro, bits, bits).cycle_ns)
    energy = price(fixed, bits, bits).energy_per_mac_fj
    slack = 1 + 1e-9
    assert energy <= price(fixed, bits + 1, bits).energy_per_mac_fj * slack
    assert energy <= price(fixed, bits, bits + 1).energy_per_mac_fj * slack
    assert (
        energy < price(replace(fixed, supply_v=macro.supply_v * 1.1), bits, bits).energy_per_mac_fj
    )
    assert energy < price(replace(fixed, node_nm=macro.node_nm * 1.1), bits, bits).energy_per_mac_fj
    if macro.converter is not None:
        coarser = replace(fixed, converter=replace(macro.converter, bits=macro.converter.bits - 1))
        assert price(coarser, bits, bits).energy_per_mac_fj < energy


@settings(deadline=None)
@given(macro=_macros())
def test_longer_columns_share_a_conversion_among_more_products(macro: Macro) -> None:
    fixed = replace(macro, cycle_ns=10.0)
    longer = replace(fixed, array=replace(macro.array, rows=macro.array.rows * 2))
    if macro.converter is not None:
        assert price(longer, 4, 4).energy_per_mac_fj < price(fixed, 4, 4).energy_per_mac_fj


def test_supply_slows_and_nodes_shrink_cells() -> None:
    assert Node(28, 0.9).slowdown == pytest.approx(1)
    assert Node(28, 0.7).slowdown > 1.2
    assert sram_cell_um2(65) == pytest.approx(0.525)
    assert 0.127 < sram_cell_um2(32) < 0.242


def test_command_prints_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    bits = ["--input-bits", "8", "--weight-bits", "8"]
    main(["macro", str(MACROS.file("wang_2022")), *bits, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer == price(load_macro("wang_2022"), 8, 8).to_dict()
    assert {"tops_per_watt", "tops", "tops_per_mm2", "energy_per_mac_fj", "cycle_ns"} <= set(answer)
    main(["macro", "wang_2022", *bits])
    assert f"{answer['tops_per_watt']:.4g} TOPS/W" in capsys.readouterr().out
    main(["macro"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(MACROS.names())


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
