from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import Hardware, Layer, load_hardware, simulate_layer
from pim_sim.cli import main
from pim_sim.cost_model import Scales, calibrated, macro_costs, price, tile
from pim_sim.hardware import (
    HARDWARE,
    CellArray,
    Converter,
    Input,
    Logic,
    Macro,
    Mapping,
    load_macro,
)

MACROS = [name for name in HARDWARE.names() if isinstance(load_hardware(name).engine, Macro)]


def _macro(rows: int, columns: int, **changes: Any) -> Macro:
    parts: dict[str, Any] = {
        "name": "paper",
        "description": "on paper",
        "node_nm": 28,
        "supply_v": 1,
        "array": CellArray(cell="charge", rows=rows, columns=columns),
        "input": Input(),
        "converter": Converter(bits=6),
        "logic": Logic(),
        "cycle_ns": 10,
    }
    return Macro(**{**parts, **changes})


def test_indian_pines_layer_with_27_rows_of_256_on_paper(conv1: Layer) -> None:
    # 6-bit weights take 6 of 256 columns: 42 weights. 20 filters fit twice, so two windows at once:
    # the longer one is 4 bands deep, 36 rows, and serves two of 198 outputs along the bands. 1,782
    # positions take 891 steps a bit, 5,346 for 6 bits; each of 35,640 outputs is converted for 6
    # bits and 6 columns, put together by 35 additions.
    tiling = tile(conv1, _macro(256, 256), Mapping())
    assert (tiling.windows, tiling.rows_driven, tiling.arrays) == (2, 36, 1)
    assert tiling.activations == 891 * 6
    assert tiling.conversions == 35_640 * 36
    assert tiling.additions == 35_640 * 35
    assert tiling.row_utilisation == 36 / 256
    assert tiling.column_utilisation == 40 / 42
    assert tiling.input_drives == 891 * 36 / 5_000
    single = tile(conv1, _macro(256, 256), Mapping(packing="none"))
    assert (single.windows, single.rows_driven, single.activations) == (1, 27, 1_782 * 6)
    assert single.input_drives == 1_782 * 27 / 5_000
    beside = tile(conv1, _macro(256, 256), Mapping(packing="duplicate"))
    assert (beside.windows, beside.rows_driven, beside.activations) == (2, 54, 891 * 6)
    assert beside.input_drives == single.input_drives
    assert single.conversions == beside.conversions == tiling.conversions


def test_layer_larger_than_a_macro_is_split_on_paper(conv1: Layer) -> None:
    # 27 products on 16 rows: 2 row groups; 20 filters on 10 columns of one bit: 2 tiles. 4 macros
    # a copy of the weights; 9 macros hold 2 copies, which share the positions.
    binary = replace(conv1, weight_bits=1, input_bits=1)
    tiling = tile(binary, _macro(16, 10, copies=9), Mapping())
    assert (tiling.row_groups, tiling.column_tiles, tiling.arrays, tiling.copies) == (2, 2, 4, 2)
    assert tiling.activations == 1_782 * 4
    assert tiling.rounds == 891
    assert tiling.conversions == 35_640 * 2
    assert tiling.additions == 35_640
    assert tiling.rows_summed == 13.5
    # with one macro for four, its weights are exchanged and every position takes four turns
    assert tile(binary, _macro(16, 10), Mapping()).rounds == 1_782 * 4


@settings(deadline=None)
@given(
    data=st.data(),
    packing=st.sampled_from(["none", "duplicate", "shifted"]),
    rows=st.integers(2, 300),
)
def test_packing_keeps_every_output_and_fits_rows_and_columns(
    data: st.DataObject, layers: st.SearchStrategy[Layer], packing: Any, rows: int
) -> None:
    layer = data.draw(layers)
    macro = _macro(rows, 240)
    tiling = tile(layer, macro, Mapping(packing=packing))
    assert tiling.rows_driven <= rows
    assert 0 < tiling.row_utilisation <= 1
    assert 0 < tiling.column_utilisation <= 1
    # every output position is computed once at least, and no window hangs over by a whole one
    steps = tiling.activations // (tiling.arrays * tiling.steps)
    along = layer.output_shape[1] if layer.kind != "linear" else 1
    ends = layer.positions // along if packing == "shifted" else 1
    assert steps * tiling.windows >= layer.positions > (steps - ends) * tiling.windows
    filters = layer.filters_per_group * tiling.groups_together
    assert tiling.windows * filters <= 240 // layer.weight_bits or tiling.windows == 1
    plain = tile(layer, macro, Mapping(packing="none"))
    assert tiling.conversions == plain.conversions
    if packing == "duplicate" and layer.positions % tiling.windows == 0:
        assert tiling.input_drives == pytest.approx(plain.input_drives)


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_shifted_window_is_the_union_of_its_windows(stride: int) -> None:
    layer = Layer(
        name="c",
        kind="conv3d",
        input_shape=(2, 50, 3, 3),
        weight_shape=(3, 2, 3, 3, 3),
        stride=(stride, 1, 1),
        padding=(0, 0, 0),
        weight_bits=1,
        input_bits=1,
        signed=True,
        time_steps=1,
        input_density=0.5,
        repeats_input=True,
    )
    tiling = tile(layer, _macro(256, 64), Mapping())
    bands = set(
        itertools.chain.from_iterable(
            range(start * stride, start * stride + 3) for start in range(int(tiling.windows))
        )
    )
    assert tiling.windows > 1
    assert tiling.rows_driven == 2 * 9 * len(bands)


def test_full_macro_spends_on_a_layer_what_it_spends_alone() -> None:
    """Check that a layer which fills a macro costs the macro's own price, part by part."""
    macro = load_macro("wang_2022")
    layer = Layer(
        name="fc",
        kind="linear",
        input_shape=(64,),
        weight_shape=(16, 64),
        stride=(),
        padding=(),
        weight_bits=8,
        input_bits=8,
        signed=True,
        time_steps=1,
        input_density=1.0,
        repeats_input=True,
    )
    hardware = load_hardware("c2c_22nm")
    tiling = tile(layer, macro, Mapping())
    costs = macro_costs(layer, macro, hardware.memory, Mapping(), tiling, calibrated())
    single = price(macro, 8, 8).breakdown_fj
    for part, energy in single.items():
        assert costs[part].energy_pj == pytest.approx(energy * 1_024 * 1e-3)
    assert sum(cost.delay_ns for cost in costs.values()) == macro.cycle_ns


@pytest.mark.parametrize("name", HARDWARE.names())
def test_parts_add_up_and_intervals_hold_the_ratio_on_every_hardware(
    name: str, conv1: Layer
) -> None:
    report = simulate_layer(conv1, load_hardware(name)).to_dict()
    for design in ("digital", "in_memory"):
        for quantity in ("energy_pj", "delay_ns"):
            parts = [cost[quantity] for cost in report["breakdown"][design].values()]
            assert sum(parts) == pytest.approx(report[design][quantity])
            assert min(parts) >= 0
        assert report[design]["area_mm2"] > 0
    for quantity in ("energy", "delay", "edp"):
        low, high = report["interval"][quantity]["factor"]
        assert low < report["ratio"][quantity]["factor"] < high
        saved = report["interval"][quantity]["saved"]
        assert saved == pytest.approx([1 - 1 / low, 1 - 1 / high])
    decided = report["interval"]["decided_by"]
    assert len(decided) == 3
    widths = [entry["energy_factor"][1] / entry["energy_factor"][0] for entry in decided]
    assert widths == sorted(widths, reverse=True)
    assert 0 < report["utilisation"]["rows"] <= 1
    assert 0 < report["utilisation"]["columns"] <= 1
    json.dumps(report)


@settings(deadline=None)
@given(data=st.data(), name=st.sampled_from(MACROS), factor=st.floats(1.1, 4))
def test_dearer_conversions_never_help_and_reach_the_ratio(
    data: st.DataObject, layers: st.SearchStrategy[Layer], name: str, factor: float
) -> None:
    layer = replace(data.draw(layers), weight_bits=4)
    hardware = load_hardware(name)
    assert isinstance(hardware.engine, Macro)
    tiling = tile(layer, hardware.engine, hardware.mapping)
    usual, dearer = (
        macro_costs(
            layer, hardware.engine, hardware.memory, hardware.mapping, tiling, Scales(converter=c)
        )
        for c in (1.0, factor)
    )
    assert dearer["converters"].energy_pj == pytest.approx(usual["converters"].energy_pj * factor)
    for part in ("cells", "input_drivers", "shift_and_add"):
        assert dearer[part] == usual[part]


def test_pipelining_hides_the_shorter_stage() -> None:
    slow = _macro(64, 64, cycle_ns=None, input=Input(encoding="pulse_count", bits_per_step=6))
    hardware = load_hardware("charge_28nm")
    layer = Layer(
        name="fc", kind="linear", input_shape=(64,), weight_shape=(8, 64), stride=(), padding=(),
        weight_bits=6, input_bits=6, signed=True, time_steps=1, input_density=1.0,
        repeats_input=True,
    )  # fmt: skip
    delays = []
    for pipelined in (True, False):
        mapping = Mapping(pipelined=pipelined)
        tiling = tile(layer, slow, mapping)
        costs = macro_costs(layer, slow, hardware.memory, mapping, tiling, Scales())
        delays.append(sum(cost.delay_ns for cost in costs.values()))
    # 62 pulses beyond the first of 20 gates of 0.0478 ns (at 1.0 V a little less), the settling of
    # 64 rows, 2 ns x sqrt(64 / 128), and 6 decisions of 0.5 ns: the pulses are the longest stage
    slowdown = (1.0 / 0.65**1.3) / (0.9 / 0.55**1.3)
    pulses, rest = 62 * 20 * 0.0478 * slowdown, (2 * math.sqrt(0.5) + 6 * 0.5) * slowdown
    assert delays == pytest.approx([pulses, pulses + rest], rel=1e-3)


def test_spikes_drive_rows_as_often_as_they_come(conv1: Layer) -> None:
    hardware = load_hardware("charge_28nm")
    energies = []
    for density in (0.1, 0.2):
        spiking = replace(conv1, input_bits=1, input_density=density)
        energies.append(simulate_layer(spiking, hardware).in_memory.components)
    for part in ("input_drivers", "cells"):
        assert energies[1][part].energy_pj == pytest.approx(2 * energies[0][part].energy_pj)
    assert energies[1]["converters"] == energies[0]["converters"]


def test_digital_macro_may_stand_for_the_digital_side(conv1: Layer) -> None:
    hardware = load_hardware("charge_65nm")
    colonnade = replace(load_macro("colonnade_2021"), supply_v=hardware.supply_v)
    report = simulate_layer(conv1, replace(hardware, digital_macro=colonnade))
    assert report.digital.components["adders"].energy_pj > 0
    assert "multiplies" not in report.digital.components
    assert report.digital.area_mm2 == pytest.approx(0.2272)


TEXT = HARDWARE.file("charge_28nm").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("supply_v = 0.9 ", "# ", "missing field 'supply_v', which the table 'macro' needs"),
        ("rows = 256", "rows = -1", "macro: array.rows: found -1"),
        ("[macro.converter]", "[macro.conv]", "macro: unknown field 'conv'"),
        ('packing = "shifted"', 'packing = "tight"', "mapping.packing: found 'tight'"),
        ("pipelined = true", "pipelined = 1", "mapping.pipelined: found 1"),
        ("thermal_lsb", "thermic_lsb", "noise: unknown field 'thermic_lsb'"),
        ("capacitor = 0", "capacitor = 7", "noise.capacitor: found 7"),
        ("[mapping]", "[adc]\nbits = 6\n[mapping]", "adc: missing field 'energy_law'"),
        ("[mapping]", "[array2]\n[mapping]", "unknown field 'array2'"),
        ("[macro]\ncopies", "[macro]\nnode_nm = 65\ncopies", "macro: unknown field 'node_nm'"),
    ],
)
def test_bad_macro_hardware_is_one_line(
    old: str, new: str, named: str, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    assert old in TEXT
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    line = one_line_refusal("hardware", "check", str(path))
    assert str(path) in line
    assert named in line


def test_neither_or_both_ways_in_memory_are_refused(
    toy: Hardware, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    sram = HARDWARE.file("sram_65nm").read_text(encoding="utf-8")
    path.write_text(sram.partition("[array]")[0], encoding="utf-8")
    assert "either the tables array and adc, or" in one_line_refusal("hardware", "check", str(path))
    path.write_text(sram.partition("[adc]")[0], encoding="utf-8")
    assert "expected both or neither" in one_line_refusal("hardware", "check", str(path))


def test_numbers_that_accuracy_needs_come_from_the_same_file() -> None:
    charge, bit_line = load_hardware("charge_28nm"), load_hardware("sram_65nm")
    for hardware, expected in ((charge, (7, 1, 256)), (bit_line, (6, 8, 256))):
        engine = hardware.engine
        found = (engine.adc_bits, engine.input_bits_per_conversion, engine.products_at_once)
        assert found == expected
    assert charge.noise.thermal_lsb > 0
    assert bit_line.noise.thermal_lsb == 0


def test_text_names_what_decides(
    workload_table: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps(workload_table), encoding="utf-8")
    main(["run", "--workload", str(path), "--hardware", "charge_28nm"])
    text = capsys.readouterr().out
    for part in (
        "80 % interval",
        "capacitor macro energy",
        "27 products per conversion",
        "Networks on edge_22nm",
    ):
        assert part in text


def test_every_copy_of_the_weights_is_loaded_once_for_many_pixels(conv1: Layer) -> None:
    # 20 filters of 6 one-bit columns are 120 of 256 columns: 2 windows at once on each of 4 macros;
    # 3,240 bits from DRAM at 32 per ns take longer than 102 words of 4 banks
    hardware = load_hardware("charge_28nm")
    report = simulate_layer(conv1, hardware)
    layout, memory = report.utilisation.layout, hardware.memory
    assert (layout.windows, layout.copies) == (2, 4)
    words = -(-540 * 6 * 8 // 64)
    dram = 540 * 6 * 1950 / 64
    loading = report.in_memory.components["weight_loading"]
    written = words * memory.read_energy_pj
    assert loading.energy_pj == pytest.approx((dram + written) / 21_025)
    assert -(-words // 4) * memory.read_time_ns < 3_240 / 32
    assert loading.delay_ns == pytest.approx(3_240 / 32 / 21_025)
    often = replace(hardware, mapping=replace(hardware.mapping, pixels_per_load=1))
    priced = simulate_layer(conv1, often)
    assert priced.in_memory.components["weight_loading"].energy_pj == pytest.approx(dram + written)
    # the digital side keeps one copy
    single = dram + -(-540 * 6 // 64) * memory.read_energy_pj
    assert priced.digital.components["weight_loading"].energy_pj == pytest.approx(single)


def test_resistive_cells_take_pulses_to_load_and_do_not_leak(conv1: Layer) -> None:
    hardware = load_hardware("rram_22nm")
    hardware = replace(hardware, mapping=replace(hardware.mapping, pixels_per_load=1))
    report = simulate_layer(conv1, hardware)
    layout = report.utilisation.layout
    # 6 bits of a weight are 2 cells of 3 bits, and their signs 2 rows
    cells = 540 * 2 * 2 * layout.windows * layout.copies
    loading = report.in_memory.components["weight_loading"]
    assert loading.energy_pj == pytest.approx(540 * 6 * 1950 / 64 + cells * 8.5 * 0.6)
    assert loading.delay_ns == pytest.approx(-(-cells // (256 * 4)) * 85)
    delay = sum(c.delay_ns for n, c in report.in_memory.components.items() if n != "weight_loading")
    leaked = 5000 * 6 * 10 * 0.8 / 0.9 * delay * 1e-9
    assert report.in_memory.components["leakage"].energy_pj == pytest.approx(leaked)
