from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import InputError, Layer, load_hardware, simulate_layer
from pim_sim.cli import main
from pim_sim.cost_model import Scales, Setup
from pim_sim.hardware import HARDWARE, Macro
from pim_sim.sweep import Sweep, pareto, parse_axis, parse_claim, regions, sweep, tornado
from pim_sim.sweep.axes import checked
from pim_sim.sweep.points import RESULTS

MACROS = [name for name in HARDWARE.names() if isinstance(load_hardware(name).engine, Macro)]


@settings(deadline=None, max_examples=60)
@given(
    data=st.data(),
    name=st.sampled_from(MACROS),
    packing=st.sampled_from(["none", "duplicate", "shifted"]),
)
def test_every_point_equals_its_single_design(
    data: st.DataObject, layers: st.SearchStrategy[Layer], name: str, packing: str
) -> None:
    layer, hardware = data.draw(layers), load_hardware(name)
    axes: dict[str, list[Any]] = {
        "macro.array.rows": data.draw(st.lists(st.integers(2, 600), min_size=1, max_size=3)),
        "macro.array.columns": [96, 252],
        "macro.converter.bits": data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=2)),
        "layer.weight_bits": data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=2)),
        "layer.input_bits": [1, 5],
        "macro.copies": [1, 3],
        "macro.converter.count": [1, 7],
        "supply_v": [0.8, 0.95],
        "mapping.packing": [packing],
    }
    swept = sweep(layer, hardware, axes)
    assert swept.impossible == 0
    at = data.draw(st.integers(0, len(swept) - 1))
    design = Setup(layer, hardware, Scales())
    for axis, values in swept.axes.items():
        design = checked(design, axis, values[at].item())
    single = simulate_layer(design.layer, design.hardware)
    assert swept.results["energy_pj"][at] == pytest.approx(single.in_memory.total.energy_pj)
    assert swept.results["delay_ns"][at] == pytest.approx(single.in_memory.total.delay_ns)
    assert swept.results["digital_energy_pj"][at] == pytest.approx(single.digital.total.energy_pj)
    assert swept.results["digital_delay_ns"][at] == pytest.approx(single.digital.total.delay_ns)
    assert swept.results["area_mm2"][at] == pytest.approx(single.in_memory.area_mm2)
    assert swept.results["edp_factor"][at] == pytest.approx(single.comparison.edp.factor)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_bit_line_points_equal_their_single_design(
    data: st.DataObject, layers: st.SearchStrategy[Layer]
) -> None:
    layer, hardware = data.draw(layers), load_hardware("sram_65nm")
    axes = {
        "array.rows": [16, 512],
        "array.columns": data.draw(st.lists(st.integers(8, 600), min_size=1, max_size=4)),
        "array.weight_bits_per_column": [2, 6],
        "adc.bits": [4, 7],
        "layer.weight_bits": [1, 6],
        "digital.multiply_energy_pj": [0.2, 0.9],
    }
    swept = sweep(layer, hardware, axes)
    at = data.draw(st.integers(0, len(swept) - 1))
    design = Setup(layer, hardware, Scales())
    for axis, values in swept.axes.items():
        design = checked(design, axis, values[at].item())
    single = simulate_layer(design.layer, design.hardware)
    assert swept.results["energy_factor"][at] == pytest.approx(single.comparison.energy.factor)
    assert swept.results["delay_factor"][at] == pytest.approx(single.comparison.delay.factor)
    assert swept.results["area_mm2"][at] == pytest.approx(single.in_memory.area_mm2)


def test_combinations_that_hold_no_weight_are_counted_and_left_out(conv1: Layer) -> None:
    axes = {"array.columns": [2, 3, 256], "array.weight_bits_per_column": [1, 2, 6]}
    swept = sweep(conv1, load_hardware("sram_65nm"), axes)
    # 6-bit weights of 6, 3 and 1 columns: 2 columns hold only the last, 3 the last two
    assert (len(swept), swept.impossible) == (6, 3)
    narrow = {"macro.array.columns": [6, 5], "macro.array.rows": [8]}
    swept = sweep(conv1, load_hardware("charge_28nm"), narrow)
    assert (len(swept), swept.impossible) == (1, 1)


def test_counts_beyond_64_bits_do_not_wrap() -> None:
    huge = 2**31 - 1
    layer = Layer(
        name="c", kind="conv2d", input_shape=(64, huge, huge), weight_shape=(huge, 64, 1, 1),
        stride=(1, 1), padding=(0, 0), weight_bits=8, input_bits=8, signed=True, time_steps=1,
        input_density=1.0, repeats_input=True,
    )  # fmt: skip
    hardware = load_hardware("c2c_22nm")
    swept = sweep(layer, hardware, {"macro.array.rows": [64], "macro.converter.bits": [8]})
    single = simulate_layer(layer, hardware).in_memory.total
    assert swept.results["energy_pj"][0] == pytest.approx(single.energy_pj)
    assert swept.results["delay_ns"][0] == pytest.approx(single.delay_ns)


def test_moving_the_node_moves_both_sides(conv1: Layer) -> None:
    hardware = load_hardware("charge_65nm")
    swept = sweep(conv1, hardware, {"node_nm": [65, 28], "supply_v": [1.0, 0.9]})
    energies = swept.results["digital_energy_pj"]
    assert energies[0] == pytest.approx(simulate_layer(conv1, hardware).digital.total.energy_pj)
    assert (np.diff(energies) < 0).all()
    # the shipped file of 28 nm and 0.9 V was scaled by the same rule from the same table
    shipped = simulate_layer(conv1, load_hardware("charge_28nm"))
    assert energies[3] == pytest.approx(shipped.digital.total.energy_pj, rel=1e-3)


def _swept(costs: list[tuple[float, ...]]) -> Sweep:
    columns = np.array(costs, dtype=float).T
    results = dict.fromkeys(RESULTS, np.ones(len(costs)))
    names = ("energy_pj", "delay_ns", "area_mm2", "quantization_error")
    return Sweep(
        axes={}, results={**results, **dict(zip(names, columns, strict=False))}, impossible=0
    )


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=30))
def test_pareto_front_is_what_no_point_beats(costs: list[tuple[int, ...]]) -> None:
    front = pareto(_swept([tuple(map(float, cost)) for cost in costs]))

    def beaten(cost: tuple[int, ...]) -> bool:
        return any(o != cost and all(a <= b for a, b in zip(o, cost, strict=True)) for o in costs)

    assert {costs[i] for i in front} == {cost for cost in costs if not beaten(cost)}
    assert len({costs[i] for i in front}) == len(front)


def test_regions_hold_the_points_that_reach_all_three_factors(conv1: Layer) -> None:
    axes = {"array.columns": [64, 256, 1024], "digital.multiply_energy_pj": [0.1, 0.9, 2.0]}
    swept = sweep(conv1, load_hardware("sram_65nm"), axes)
    factors, savings = regions(swept, parse_claim("ace_snn"))
    assert factors.claim.factors == pytest.approx({"energy": 1.3, "delay": 1.07, "edp": 1.38})
    by_savings = {"energy": 1 / 0.7, "delay": 1 / 0.93, "edp": 1 / 0.62}
    assert savings.claim.factors == pytest.approx(by_savings)
    for found in (factors, savings):
        for i in range(len(swept)):
            reached = all(
                swept.results[f"{name}_factor"][i] >= needed
                for name, needed in found.claim.factors.items()
            )
            assert found.mask[i] == reached
    assert 0 < savings.mask.sum() <= factors.mask.sum() < len(swept)
    low, high = factors.bounds["digital.multiply_energy_pj"]
    held = swept.axes["digital.multiply_energy_pj"][factors.mask]
    assert (low, high) == (held.min(), held.max())


def test_claim_in_factors_is_searched_for(
    workload: str, capsys: pytest.CaptureFixture[str], conv1: Layer
) -> None:
    axes = ["array.columns=64,256,1024", "digital.multiply_energy_pj=0.1,0.9,2.0"]
    options = ["sweep", "--workload", workload, *(p for axis in axes for p in ("--axis", axis))]
    main([*options, "--claim", "energy=2.5,delay=1.0", "--json"])
    (found,) = json.loads(capsys.readouterr().out)["region"]
    assert found["factors"] == {"energy": 2.5, "delay": 1.0}
    results = sweep(conv1, load_hardware("sram_65nm"), dict(map(parse_axis, axes))).results
    reached = (results["energy_factor"] >= 2.5) & (results["delay_factor"] >= 1.0)
    assert found["points"] == reached.sum() > 0
    main([*options, "--claim", "energy=2.5,delay=1.0"])
    assert "claim read as factors (energy / delay 2.50 / 1.00)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("claim", "named"),
    [
        ("ace", "--claim: found 'ace', expected energy=FACTOR"),
        ("area=2", "--claim: found 'area', expected each of energy, delay, edp at most once"),
        ("energy=2,energy=3", "found 'energy'"),
        ("energy=", "--claim energy: found '', expected a factor such as 1.30"),
        ("energy=-1", "--claim energy: found '-1'"),
        ("energy=nan", "--claim energy: found 'nan'"),
    ],
)
def test_bad_claim_is_one_line(
    claim: str, named: str, workload: str, one_line_refusal: Callable[..., str]
) -> None:
    options = ["--workload", workload, "--axis", "adc.bits=4:6", "--claim", claim]
    assert named in one_line_refusal("sweep", *options)


def test_published_percentages_in_both_readings() -> None:
    # 30 / 7 / 38 % fit each other as factors, 1.30 x 1.07 = 1.39; as savings 1 - 0.70 x 0.93 is
    # 34.9 %, not 38
    factors, savings = (claim.factors for claim in parse_claim("ace_snn"))
    assert factors["energy"] * factors["delay"] == pytest.approx(factors["edp"], rel=0.01)
    saved = 1 - 1 / (savings["energy"] * savings["delay"])
    assert saved == pytest.approx(0.349)
    assert 1 - 1 / savings["edp"] == pytest.approx(0.38)


def test_tornado_moves_one_axis_at_a_time(conv1: Layer) -> None:
    hardware = load_hardware("sram_65nm")
    axes = {"adc.bits": [4, 6, 8], "digital.multiply_energy_pj": [0.1, 3.0]}
    rows = tornado(conv1, hardware, axes)
    assert [name for name, _, _ in rows] == ["digital.multiply_energy_pj", "adc.bits"]
    adc = replace(hardware.engine.adc, bits=8)
    finest = replace(hardware, engine=replace(hardware.engine, adc=adc))
    assert rows[1][1] == pytest.approx(simulate_layer(conv1, finest).comparison.energy.factor)


def test_estimated_error_follows_the_converter_until_sums_are_exact(conv1: Layer) -> None:
    analog = sweep(conv1, load_hardware("c2c_22nm"), {"macro.converter.bits": [4, 5, 6, 7, 8]})
    error = analog.results["quantization_error"]
    # 3.64 / sqrt(3) x 2^-4 = 13.1 %, beside 2^-6 = 1.6 % of the weights
    assert error[0] == pytest.approx(np.hypot(0.1313, 1 / 64), rel=1e-3)
    assert (np.diff(error) < 0).all()
    # one bit by one bit over 27 rows counts to 27, which 5 bits hold
    serial = sweep(conv1, load_hardware("charge_28nm"), {"macro.converter.bits": [4, 5, 8]})
    assert (
        serial.results["quantization_error"][1] == serial.results["quantization_error"][2] == 1 / 64
    )
    assert serial.results["quantization_error"][0] > 0.1


@pytest.mark.parametrize(
    ("text", "values"),
    [("a=1,2.5,x,true", [1, 2.5, "x", True]), ("a.b=4:6", [4, 5, 6]), ("a=2:9:3", [2, 5, 8])],
)
def test_axis_is_read(text: str, values: list[Any]) -> None:
    assert parse_axis(text)[1] == values


@pytest.fixture
def workload(workload_table: dict[str, Any], tmp_path: Path) -> str:
    path = tmp_path / "workload.json"
    path.write_text(json.dumps(workload_table), encoding="utf-8")
    return str(path)


def test_command_writes_every_point_and_prints_the_best(
    workload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "points.csv"
    options = ["sweep", "--workload", workload, "--hardware", "c2c_22nm", "--csv", str(target)]
    options += ["--axis", "macro.converter.bits=4:8", "--axis", "macro.array.rows=16,64"]
    main([*options, "--json"])
    answer = json.loads(capsys.readouterr().out)
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert answer["points"] == len(rows) == 10
    assert {part.name for part in tmp_path.iterdir()} == {"workload.json", target.name}
    least = min(float(row["energy_pj"]) for row in rows)
    assert answer["pareto"][0]["energy_pj"] == pytest.approx(least)
    assert {entry["reading"] for entry in answer["region"]} == {"factors", "savings"}
    main(options)
    text = capsys.readouterr().out
    for part in ("10 designs", "Pareto front", "macro.array.rows", "read as savings"):
        assert part in text


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        (["macro.array.rows"], "expected NAME=VALUE"),
        (["macro.array.rows=9:1"], "expected a rising range"),
        (["macro.array.rows=1:2.5"], "expected LOW:HIGH"),
        (["macro.array.rows=0"], "--axis macro.array.rows: array.rows: found 0"),
        (["macro.array.height=1"], "--axis macro.array.height: found no such field"),
        (["macro.array=1"], "found a table"),
        (["array.columns=64"], "--axis array.columns"),
        (["node_nm=1"], "--axis node_nm: node_nm: found 1, expected a number from 3 to 250"),
        (["supply_v=0.1"], "--axis supply_v: supply_v: found 0.1, expected a number from 0.3"),
        (["macro.supply_v=0.8"], "found a field of one side, expected supply_v, which moves both"),
        (["macro.array.bits_per_cell=4"], "array.bits_per_cell: found 4, expected no such field"),
        (["macro.array.cell=gold"], "found 'gold', expected one of"),
        (["macro.array.columns=5"], "no design whose columns hold a weight"),
        (["macro.copies=1", "macro.copies=2"], "the same name twice"),
        (["macro.copies=1:5000", "macro.array.rows=1:5000"], "expected at most 20,000,000"),
        ([], "--axis"),
    ],
)
def test_bad_axis_is_one_line(
    axes: list[str], named: str, workload: str, one_line_refusal: Callable[..., str]
) -> None:
    options = ["--workload", workload, "--hardware", "charge_28nm"]
    given = [part for axis in axes for part in ("--axis", axis)]
    assert named in one_line_refusal("sweep", *options, *given)


def test_picture_marks_what_reaches_the_figures(
    workload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], conv1: Layer
) -> None:
    target = tmp_path / "region.svg"
    axes = ["array.columns=64,256,1024", "digital.multiply_energy_pj=0.1,0.9,2.0", "adc.bits=4,6"]
    given = [part for axis in axes for part in ("--axis", axis)]
    main(["sweep", "--workload", workload, "--svg", str(target), *given])
    capsys.readouterr()
    root = ElementTree.parse(target).getroot()
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    swept = sweep(conv1, load_hardware("sram_65nm"), dict(map(parse_axis, axes)))
    for found, radius in zip(regions(swept, parse_claim("ace_snn")), ("3", "6"), strict=True):
        columns, energies = (swept.axes[axis.partition("=")[0]][found.mask] for axis in axes[:2])
        squares = set(zip(columns.tolist(), energies.tolist(), strict=True))
        assert sum(circle.get("r") == radius for circle in circles) == len(squares) > 0
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 1 + 9


@pytest.mark.parametrize(
    ("axes", "named"),
    [(["array.columns=64:128", "adc.bits=4:6"], "at most 60")],
)
def test_picture_that_cannot_be_drawn_is_one_line(
    axes: list[str], named: str, workload: str, tmp_path: Path, one_line_refusal: Callable[..., str]
) -> None:
    target = tmp_path / "region.svg"
    given = [part for axis in axes for part in ("--axis", axis)]
    line = one_line_refusal("sweep", "--workload", workload, "--svg", str(target), *given)
    assert named in line
    assert not target.exists()


def test_one_axis_is_a_curve_of_both_sides(
    workload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], conv1: Layer
) -> None:
    target, front = tmp_path / "curve.svg", tmp_path / "front.svg"
    options = ["--hardware", "c2c_22nm", "--axis", "macro.converter.bits=4:8"]
    main(["sweep", "--workload", workload, *options, "--svg", str(target), "--front-svg",
          str(front)])  # fmt: skip
    capsys.readouterr()
    root = ElementTree.parse(target).getroot()
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    swept = sweep(conv1, load_hardware("c2c_22nm"), {"macro.converter.bits": [4, 5, 6, 7, 8]})
    assert len(lines) == 2
    heights = []
    for line, name in zip(lines, ("digital_energy_pj", "energy_pj"), strict=True):
        places = [tuple(map(float, p.split(","))) for p in line.get("points", "").split()]
        assert len(places) == 5
        heights += [(y, math.log(e)) for (_, y), e in zip(places, swept.results[name], strict=True)]
    # up is the logarithm of the energy, of both sides alike
    ys, logs = np.array(heights).T
    assert np.corrcoef(-ys, logs)[0, 1] == pytest.approx(1, abs=1e-4)
    rings = [
        circle
        for circle in ElementTree.parse(front).getroot().iter("{http://www.w3.org/2000/svg}circle")
        if circle.get("fill") == "none"
    ]
    assert len(rings) == len(pareto(swept))


def test_file_that_cannot_be_written_is_one_line(
    workload: str, tmp_path: Path, one_line_refusal: Callable[..., str]
) -> None:
    (tmp_path / "file").touch()
    target = str(tmp_path / "file" / "points.csv")
    options = ["--workload", workload, "--axis", "adc.bits=4:6", "--csv", target]
    assert f"{target}: cannot be written" in one_line_refusal("sweep", *options)


def test_node_of_hardware_without_a_macro_is_refused(conv1: Layer) -> None:
    with pytest.raises(InputError, match="'sram_65nm' without a macro"):
        sweep(conv1, load_hardware("sram_65nm"), {"node_nm": [45]})
