from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim.cli import main
from pim_sim.cost_model import Scales, price, spreads
from pim_sim.cost_model.macro_price import converter_um2
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
from pim_sim.technology import Node, pitch_ratio, rate_factor, sram_cell_um2

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


# At 28 nm and 1 V a conversion of 5 bits and 128 rows takes 32 levels of 5 fF, 160 fJ; one of 2
# bits an eighth of it, of 2 rows (2 / 128)^(1/4) = 0.35355 of that: 7.0711 fJ at 100 MS/s.
CONVERSION = 160 / 8 * (2 / 128) ** 0.25


def test_two_by_two_charge_macro_on_paper() -> None:
    # A line passes a cell of 1 um: 0.2 fF, with two transistors of 0.7 / 4 fF: 0.55 fF. Two rows of
    # two cells, high half of the time: 2 x 2 x 0.55 x 0.5 = 1.1 fJ. A cell drives 2 fF, two gates
    # of 0.7 fF and a line of 0.2 + 0.175 fF: 4 x 3.775 x 0.5 = 7.55 fJ. Control is 5 % on top.
    # 4 products; the 1-bit product needs no addition.
    priced = price(_macro(), 1, 1, ONES)
    whole = 1.1 + 7.55 + 2 * CONVERSION
    assert priced.breakdown_fj == pytest.approx(
        {
            "input_drivers": 1.1 / 4,
            "dac": 0,
            "cells": 7.55 / 4,
            "adders": 0,
            "converters": 2 * CONVERSION / 4,
            "shift_and_add": 0,
            "control": 0.05 * whole / 4,
        }
    )
    # 4 products in 10 ns are 8 operations: 0.8 GOPS
    assert priced.tops == pytest.approx(0.8e-3)
    assert priced.tops_per_watt == pytest.approx(2e3 / (whole * 1.05 / 4))


def test_weights_of_zeros_leave_capacitors_and_bit_lines_still() -> None:
    # a product of two bits is 1 as often as both are: a quarter of the weight bits for a half
    halves, quarter = (
        price(_macro(logic=Logic(weight_density=density)), 1, 1, ONES).breakdown_fj
        for density in (0.5, 0.25)
    )
    assert quarter["cells"] == pytest.approx(halves["cells"] / 2)
    assert quarter["input_drivers"] == halves["input_drivers"]
    line = CellArray(cell="sram_8t", rows=2, columns=2)
    halves, quarter = (
        price(_macro(array=line, logic=Logic(weight_density=density)), 1, 1, ONES).breakdown_fj
        for density in (0.5, 0.25)
    )
    assert quarter["cells"] == pytest.approx(halves["cells"] / 2)


def test_bits_take_steps_columns_and_additions_on_paper() -> None:
    # 2-bit weights take both columns, so one output; 3-bit inputs take 3 steps: 6 conversions,
    # put together by 5 additions of the 2 bits of a conversion and a carry, each half of 6 gates of
    # an adder and 3 of a register.
    priced = price(_macro(), 3, 2, ONES)
    assert priced.breakdown_fj["converters"] == pytest.approx(6 * CONVERSION / 2)
    assert priced.breakdown_fj["shift_and_add"] == pytest.approx(5 * 3 * 4.5 * 0.7 / 2)
    assert priced.tops == pytest.approx(2e-3 * 2 / 30)


def test_control_is_a_share_of_all_that_is_spent() -> None:
    """It once was one of converters that worked at every step, without the additions."""
    gathered = _macro(input=Input(steps_per_conversion=3))
    for bits in (1, 3, 7):
        parts = price(gathered, bits, 1, ONES).breakdown_fj
        control = parts.pop("control")
        assert control == pytest.approx(0.05 * sum(parts.values()))


@pytest.mark.parametrize(("kind", "factor"), [("sar", 1), ("flash", 1), ("ramp", 1)])
def test_kinds_of_converters_on_paper(kind: Any, factor: float) -> None:
    macro = _macro(converter=Converter(bits=3, kind=kind))
    converters = price(macro, 1, 1, ONES).breakdown_fj["converters"]
    assert converters == pytest.approx(2 * CONVERSION * factor / 2)
    dearer = price(macro, 1, 1, Scales(flash=1.5)).breakdown_fj["converters"]
    assert dearer == pytest.approx(converters * (1.5 if kind == "flash" else 1))
    known = _macro(converter=Converter(bits=3, kind=kind, energy_pj=0.5))
    assert price(known, 1, 1, ONES).breakdown_fj["converters"] == pytest.approx(500 / 2)


def test_converters_know_bits_rows_node_and_rate() -> None:
    def conversion(**changes: Any) -> float:
        return price(_macro(**changes), 1, 1, ONES).breakdown_fj["converters"] * 2

    usual = conversion()
    assert conversion(converter=Converter(bits=4)) == pytest.approx(4 * usual)
    longer = CellArray(cell="charge", rows=32, columns=2, cell_um2=1.0)
    assert conversion(array=longer) / 2 * 32 == pytest.approx(2 * usual)  # (32 / 2)^(1/4)
    assert conversion(node_nm=65) == pytest.approx(usual * pitch_ratio(28, 65))
    assert conversion(cycle_ns=1) == pytest.approx(usual * rate_factor(1e9))


def test_dac_is_as_strong_as_the_line_it_drives() -> None:
    # a row of two cells of 1 um is 1.1 fF: once at 1 V for each of 4 bits; twice the columns take
    # twice the energy and serve twice the products
    inputs = Input(encoding="dac", bits_per_step=4)
    two, four = (
        price(
            _macro(array=CellArray(cell="charge", rows=2, columns=columns, cell_um2=1.0),
                   input=inputs), 4, 1, ONES,
        ).breakdown_fj["dac"]
        for columns in (2, 4)
    )  # fmt: skip
    assert two == four == pytest.approx(2 * 4 * 1.1 / 4)


@pytest.mark.parametrize(("kind", "turns"), [("sar", 3), ("flash", 1), ("ramp", 8)])
def test_step_lasts_as_long_as_its_input_and_conversions_in_turn(kind: Any, turns: int) -> None:
    # 28 nm at 0.9 V: 2 rows settle in 2 ns x sqrt(2 / 128), a decision takes 0.5 ns; one converter
    # for two columns converts twice
    single = _macro(cycle_ns=None, supply_v=0.9, converter=Converter(bits=3, kind=kind, count=1))
    cycle_ns = price(single, 1, 1, ONES).cycle_ns
    assert cycle_ns == pytest.approx(0.25 + 2 * turns * 0.5, rel=1e-3)
    # at half of the node's pitch and a lower supply, of both the delay of a gate
    moved = replace(single, node_nm=7, supply_v=0.6)
    slower = Node(7, 0.6).gate_ns / Node(28, 0.9).gate_ns
    assert price(moved, 1, 1, ONES).cycle_ns == pytest.approx(cycle_ns * slower)


def test_steps_between_two_conversions_take_no_conversion() -> None:
    # three steps of 0.25 ns settle, then 3 decisions of 0.5 ns
    gathered = _macro(
        cycle_ns=None,
        supply_v=0.9,
        converter=Converter(bits=3),
        input=Input(steps_per_conversion=3),
    )
    whole = price(gathered, 3, 1, ONES).cycle_ns * 3
    assert whole == pytest.approx(3 * 0.25 + 1.5, rel=1e-3)
    each = replace(gathered, input=Input())
    assert price(each, 3, 1, ONES).cycle_ns * 3 == pytest.approx(3 * (0.25 + 1.5), rel=1e-3)


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
        assert converters == pytest.approx(conversions * CONVERSION / 2)


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
    # areas that the files leave to the model, against the printed ones: Wang's is the worst
    for name, printed_mm2, worst in (("wang_2022", 0.124, 3), ("colonnade_2021", 0.2272, 1.5)):
        modelled = price(replace(load_macro(name), area_mm2=None), 8, 8).area_mm2
        assert 1 / worst < modelled / printed_mm2 < worst
    assert 1 / 1.5 < price(load_macro("jia_2020"), 1, 1).area_mm2 / (2.91 + 0.497) < 1.5


def test_area_on_paper() -> None:
    # two rows of two cells of 1 um2 of 2 words, the second a 6T cell of 0.127 um2; two rows end in
    # 10 such cells; two converters of 2 bits are 150 um2 / 2^(0.75 x 3) each; all that times 1.4
    array = CellArray(cell="charge", rows=2, columns=2, cell_um2=1.0, depth=2)
    cells, drivers = 4 * (1 + 0.127), 2 * 10 * 0.127
    converters = 2 * 150 / 2**2.25
    area = price(_macro(array=array), 1, 1, ONES).area_mm2
    assert area == pytest.approx(1.4e-6 * (cells + drivers + converters))
    # a flash converter of 7 bits has 4 times the comparators of 5, another grows by 2^1.5; at
    # 65 nm either by the pitch of a cell
    kinds: list[tuple[Any, float]] = [("flash", 4), ("sar", 2**1.5)]
    for kind, growth in kinds:
        area = price(_macro(array=array, converter=Converter(bits=7, kind=kind)), 1, 1, ONES)
        assert area.area_mm2 == pytest.approx(1.4e-6 * (cells + drivers + 300 * growth))
    assert converter_um2(7, 65, ONES, "flash") == pytest.approx(600 * pitch_ratio(28, 65))


def test_intervals_are_what_left_out_chips_missed() -> None:
    macro = replace(load_macro("jia_2020"), cycle_ns=None)
    priced = price(macro, 1, 1)
    for quantity, name in (("energy", "energy_per_mac_fj"), ("time", "cycle_ns"),
                           ("area", "area_mm2")):  # fmt: skip
        low, high = priced.interval[name]
        value, spread = getattr(priced, name), spreads()[quantity]["capacitor"]
        assert (low, high) == pytest.approx((value / spread, value * spread))
    low, high = priced.interval["tops_per_watt"]
    assert low < priced.tops_per_watt < high
    stated = price(load_macro("jia_2020"), 1, 1)
    assert stated.interval["cycle_ns"] == [stated.cycle_ns, stated.cycle_ns]


@st.composite
def _macros(draw: st.DrawFn) -> Macro:
    cell = draw(st.sampled_from(CELLS.names()))
    merged = draw(st.sampled_from([1, 2, 4]))
    encodings = ["bit_serial", "dac", "pulse_count", "pulse_width"]
    encoding = "bit_serial" if cell == "digital" else draw(st.sampled_from(encodings))
    adders = ["tree", "chain"] if cell == "digital" else ["tree"]
    one_bit = cell != "digital" and encoding == "bit_serial"
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
            encoding=encoding,
            bits_per_step=1 if one_bit else draw(st.integers(1, 4)),
            mean=draw(st.floats(0.05, 0.5)),
        ),
        converter=None if cell == "digital" else Converter(
            bits=draw(st.integers(2, 8)), kind=draw(st.sampled_from(["sar", "flash", "ramp"]))
        ),
        logic=Logic(adder=draw(st.sampled_from(adders))),
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
