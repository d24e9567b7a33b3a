from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest

from pim_sim.cli import main
from pim_sim.cost_model import Scales, calibrated, load_scales, price, spreads
from pim_sim.hardware import MACROS, load_macro
from pim_sim.validation import QUANTITIES, Measured, fit_scales, leave_out, measured_chips, validate
from pim_sim.validation.law_fit import moves_of, scales_of, terms_of

ROWS = measured_chips()


def _row(name: str) -> Measured:
    (found,) = [row for row in ROWS if row.name == name]
    return found


def test_left_out_families_are_as_close_as_is_claimed() -> None:
    result = validate()
    assert result.left_out_geomean["energy"] <= 1.75
    assert result.left_out_geomean["time"] <= 2.2
    assert result.left_out_geomean["area"] <= 1.65
    assert result.left_out["energy"].count() >= 20
    for quantity in QUANTITIES:
        assert 0.7 <= result.coverage[quantity] <= 0.9


def test_shipped_constants_and_spreads_are_those_of_the_fit() -> None:
    result = validate()
    assert asdict(calibrated()) == pytest.approx(asdict(result.scales), rel=1e-4)
    for quantity in QUANTITIES:
        assert spreads()[quantity] == pytest.approx(result.spreads[quantity], rel=1e-3)


@pytest.mark.parametrize("family", ["jia20", "chih", "deaville"])
def test_prediction_and_interval_of_a_family_do_not_know_its_figures(family: str) -> None:
    """A tenfold energy in one family must move neither its prediction nor its interval."""
    altered = tuple(
        replace(
            row,
            fj_per_mac=row.fj_per_mac and 10 * row.fj_per_mac,
            parts=tuple((parts, 10 * energy) for parts, energy in row.parts),
        )
        if row.family == family
        else row
        for row in ROWS
    )
    before, after = (
        next(m for m in leave_out(rows, "energy").missed if m.family == family)
        for rows in (ROWS, altered)
    )
    assert after.spread == pytest.approx(before.spread, rel=1e-3)
    assert after.predicted_over_measured == pytest.approx(
        before.predicted_over_measured / 10, rel=1e-3
    )
    for (name, measured, predicted), figure in zip(after.figures, before.figures, strict=True):
        assert name == figure[0]
        assert measured == pytest.approx(10 * figure[1])
        assert predicted == pytest.approx(figure[2], rel=1e-3)


def test_fit_finds_the_constants_that_made_the_figures() -> None:
    truth = Scales(array=1.5, converter=0.7, dac=1.2, logic=0.8, settle=3.0, logic_time=2.0)
    made = tuple(
        replace(
            row,
            fj_per_mac=sum(terms_of(row, "energy", truth).values()),
            product_ns=sum(terms_of(row, "time", truth).values()),
            area_mm2=sum(terms_of(row, "area", truth).values()),
            parts=(),
            use=dict.fromkeys(QUANTITIES, "y"),
        )
        for row in ROWS
    )
    found = asdict(fit_scales(made, truth, miss_ln=1e-3))
    assert found == pytest.approx(asdict(truth), rel=1e-3)  # a fit that starts right stays there
    away = fit_scales(made, miss_ln=1e-3)
    for name in ("array", "converter", "logic", "settle", "logic_time"):
        assert getattr(away, name) == pytest.approx(getattr(truth, name), rel=0.02)


def test_constant_that_no_chip_measures_stays_as_declared() -> None:
    digital = [row for row in ROWS if row.kind == "digital"]
    found = fit_scales(digital)
    assert (found.dac, found.converter, found.settle) == (1.0, 1.0, 2.0)
    assert found.logic != 1.0


def test_terms_are_power_laws_of_the_constants() -> None:
    """Slopes are read off once, which only power laws allow."""
    rng = np.random.default_rng(0)
    for row in ROWS[::7]:
        for quantity in QUANTITIES:
            start = terms_of(row, quantity, Scales())
            mine = np.array([field.metadata["of"] == quantity for field in fields(Scales)])
            moves = 0.3 * rng.standard_normal(len(mine)) * mine
            once = terms_of(row, quantity, scales_of(moves))
            twice = terms_of(row, quantity, scales_of(2 * moves))
            for name, value in start.items():
                if value > 0:
                    assert twice[name] / once[name] == pytest.approx(once[name] / value, rel=1e-9)


def test_moves_and_constants_are_inverse() -> None:
    assert asdict(scales_of(moves_of(calibrated()))) == pytest.approx(asdict(calibrated()))


def test_rows_of_the_table_become_the_macros_that_papers_describe() -> None:
    wang = _row("wang22_1.0v").macro
    assert (wang.array.rows, wang.array.columns, wang.array.depth) == (64, 128, 8)
    assert (wang.array.columns_merged, wang.converters, wang.input.encoding) == (8, 16, "dac")
    # one flash converter for 64 columns, one column in 0.85 ns: a step of 54.4 ns
    xnor = _row("xnorsram_1v")
    assert (xnor.macro.converters, xnor.macro.conversions_in_turn) == (1, 64)
    assert xnor.macro.cycle_ns == xnor.product_ns == pytest.approx(54.4)
    # 2 x 4096 products per step of the chip's 64 outputs, 4 steps, 89 TOPS/W at 4 bits
    chih = _row("chih_0v72")
    assert chih.fj_per_mac == pytest.approx(2000 / 89)
    assert chih.product_ns == pytest.approx(4 * 2.48)
    assert price(chih.macro, 4, 4).tops == pytest.approx(52.7 / 16, rel=0.01)
    assert not [row for row in ROWS if row.name == "tu22_z" and row.value("energy")]


def test_misattributed_chip_is_gone() -> None:
    assert "yue_2022" not in MACROS.names()


def test_low_supply_of_the_chain_is_as_measured_within_a_factor_of_two() -> None:
    """Colonnade at 0.6, 0.7 and 0.8 V and 8 bits: 292, 725 and 1,170 fJ."""
    for supply_v, measured in ((0.6, 292.03), (0.7, 725.43), (0.8, 1169.65)):
        macro = replace(load_macro("colonnade_2021"), supply_v=supply_v)
        assert 1 / 2 < price(macro, 8, 8).energy_per_mac_fj / measured < 2


def test_layer_agrees_with_another_simulator_and_its_converters_on_paper() -> None:
    layer = validate().layer
    assert (layer["macs"], layer["outputs"]) == (962_280, 35_640)
    assert 1 / 1.5 < layer["energy_nj"] / layer["accelforge_energy_nj"] < 1.5
    # two tiles of 16 columns take 3,564 cycles of 4.6 ns; Wang's 41.5 fJ a product and 64 rows are
    # 2.66 pJ per conversion: 94.7 nJ for 35,640 (fitted, so within 5 %)
    assert layer["delay_us"] == pytest.approx(3_564 * 4.6e-3)
    assert layer["parts_nj"]["converters"] == pytest.approx(94.7, rel=0.05)
    assert sum(layer["parts_nj"].values()) == pytest.approx(layer["energy_nj"])
    theirs = layer["accelforge_parts_nj"]
    assert sum(theirs.values()) == pytest.approx(266.35, abs=0.01)
    assert layer["parts_nj"]["converters"] == pytest.approx(theirs["converters"], rel=0.1)


def test_command_prints_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    main(["validate", "--json"])
    answer = json.loads(capsys.readouterr().out)
    for quantity in QUANTITIES:
        counted = [
            row
            for row in answer["left_out"]
            if row[quantity] is not None
            and row["group"] == "sram_digital"
            and not row["details"][quantity]["doubtful"]
        ]
        assert len(counted) == answer["families"][quantity]
        logs = [math.log(row[quantity]) for row in counted]
        assert answer["left_out_geomean"][quantity] == pytest.approx(math.exp(np.mean(logs)))
        inside = [row["details"][quantity]["inside"] for row in counted]
        assert answer["coverage"][quantity] == pytest.approx(np.mean(inside))
    assert {row["family"] for row in answer["left_out"]} == {
        row.family for row in ROWS if any(row.value(quantity) for quantity in QUANTITIES)
    }
    main(["validate"])
    text = capsys.readouterr().out
    for row in answer["left_out"]:
        assert row["family"] in text
    for silicon in answer["silicon"]:
        assert silicon["chip"] in text
        assert f"{silicon['factor']:.2f}" in text
    assert f"{answer['left_out_geomean']['energy']:.2f}" in text


MINE = """
[[measured]]
input_bits = 8
weight_bits = 8
tops_per_watt = 30
area_mm2 = 0.2
"""


def _mine(tmp_path: Path, measured: str = MINE) -> Path:
    text = MACROS.file("wang_2022").read_text(encoding="utf-8").replace("area_mm2 = 0.124", "")
    path = tmp_path / "mine.toml"
    tables = measured if "[[" in measured else ""
    text = text.replace("[array]", f"{measured.removesuffix(tables)}\n[array]", 1) + tables
    path.write_text(text, encoding="utf-8")
    return path


def test_fit_to_a_chip_of_the_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = _mine(tmp_path), tmp_path / "scales.json"
    before = price(load_macro(path), 8, 8)
    main(["fit", str(path), "--out", str(out), "--json"])
    answer = json.loads(capsys.readouterr().out)
    energy, area = answer["figures"]
    assert energy["measured"] == pytest.approx(2000 / 30)
    assert energy["before"] == pytest.approx(before.energy_per_mac_fj)
    assert energy["factor_after"] < 1.05 < energy["factor_before"]
    assert area["factor_after"] < 1.05
    assert {"settle", "logic_time", "bit_line"}.isdisjoint(answer["moved"])
    found = load_scales(out)
    after = price(load_macro(path), 8, 8, found)
    assert after.tops_per_watt == pytest.approx(30, rel=0.05)
    assert after.area_mm2 == pytest.approx(0.2, rel=0.05)
    main(["macro", str(path), "--scales", str(out), "--json"])
    assert json.loads(capsys.readouterr().out)["tops_per_watt"] == after.tops_per_watt
    main(["fit", str(path)])
    assert "energy, fJ per MAC: 8-bit inputs, 8-bit weights, 1 V" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("measured", "named"),
    [
        ("", "missing table 'measured', which a fit needs"),
        ("measured = 3", "measured: found 3"),
        ("\n[[measured]]\ninput_bits = 8\nweight_bits = 8", "no figure"),
        ("\n[[measured]]\ninput_bits = 8\ntops_per_watt = 3", "missing field 'weight_bits'"),
        (MINE + "speed = 3", "unknown field 'speed'"),
        (MINE + "tops = 3", "tops: found 3.0, expected none beside cycle_ns"),
        (MINE + 'part = "magic"', "part: found 'magic'"),
        (MINE.replace("= 30", "= -30"), "tops_per_watt: found -30"),
    ],
)
def test_unusable_figures_are_one_line(
    measured: str, named: str, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    assert named in one_line_refusal("fit", str(_mine(tmp_path, measured)))


def test_unusable_constants_are_one_line(
    one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "scales.json"
    for text, named in (
        ("{", "not JSON"),
        ("{}", "scales: found None"),
        ('{"scales": {"magic": 1}}', "unknown field 'magic'"),
        ('{"scales": {"array": "x"}}', "scales.array: found 'x'"),
    ):
        path.write_text(text, encoding="utf-8")
        assert named in one_line_refusal("macro", "wang_2022", "--scales", str(path))
