"""Grouped, depthwise, dilated and one-dimensional layers: counts on paper, and their layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import Hardware, InputError, Layer, Workload, load_hardware, simulate_layer
from pim_sim.cost_model import place, tile
from pim_sim.hardware import HARDWARE, Array, CellArray, Converter, Input, Logic, Macro, Mapping

PLAIN: dict[str, Any] = {
    "name": "first",
    "kind": "conv2d",
    "input_shape": (16, 5, 5),
    "weight_shape": (8, 16, 3, 3),
    "stride": (1, 1),
    "padding": (0, 0),
    "weight_bits": 6,
    "input_bits": 6,
    "signed": True,
    "time_steps": 5,
    "input_density": 1.0,
    "repeats_input": True,
}
DEPTHWISE = Layer(**PLAIN | {"weight_shape": (16, 1, 3, 3), "groups": 16})
LINE = {"kind": "conv1d", "stride": (1,), "padding": (0,)}


def _macro(rows: int, columns: int) -> Macro:
    return Macro(
        name="paper",
        description="on paper",
        node_nm=28,
        supply_v=1,
        array=CellArray(cell="charge", rows=rows, columns=columns),
        input=Input(),
        converter=Converter(bits=6),
        logic=Logic(),
        cycle_ns=10,
    )


def test_a_depthwise_layer_on_paper() -> None:
    # 3 x 3 positions of 16 filters are 144 outputs, each the sum of 9 products of one channel
    assert (DEPTHWISE.outputs, DEPTHWISE.fan_in, DEPTHWISE.macs) == (144, 9, 1_296)
    assert (DEPTHWISE.weights, DEPTHWISE.filters_per_group) == (144, 1)


def test_a_dilated_layer_on_paper() -> None:
    # the kernel reaches over 5 of 9 padded values: 25 positions, 8 filters, 144 products
    layer = Layer(**PLAIN | {"dilation": (2, 2), "padding": (2, 2)})
    assert layer.output_shape == (8, 5, 5)
    assert layer.macs == 28_800


def test_a_line_on_paper() -> None:
    # 10 positions along 16 bands, 8 filters, 7 products
    layer = Layer(**PLAIN | LINE | {"input_shape": (1, 16), "weight_shape": (8, 1, 7)})
    assert layer.output_shape == (8, 10)
    assert layer.macs == 560
    assert layer.dilation == (1,)


@pytest.mark.parametrize("hardware", HARDWARE.names())
def test_a_line_costs_what_its_two_dimensional_form_costs(hardware: str) -> None:
    line = Layer(**PLAIN | LINE | {"input_shape": (2, 40), "weight_shape": (8, 2, 7)})
    form = {"input_shape": (2, 40, 1), "weight_shape": (8, 2, 7, 1)}
    plane = Layer(**PLAIN | form)
    found, expected = (
        simulate_layer(layer, load_hardware(hardware)).to_dict() for layer in (line, plane)
    )
    assert {**found, "layer": 0} == {**expected, "layer": 0}


@pytest.mark.parametrize("hardware", HARDWARE.names())
def test_a_group_costs_less_than_all_channels_in_every_output(hardware: str) -> None:
    dense = Layer(**PLAIN | {"weight_shape": (16, 16, 3, 3)})
    report, full = (simulate_layer(layer, load_hardware(hardware)) for layer in (DEPTHWISE, dense))
    for name, design in report.designs.items():
        assert 0 < design.total.energy_pj < full.designs[name].total.energy_pj


def test_groups_lie_on_rows_and_columns_of_their_own() -> None:
    # 256 rows hold 28 sums of 9, 256 columns 42 weights of 6 bits: all 16 groups together
    tiling = tile(DEPTHWISE, _macro(256, 256), Mapping(packing="none"))
    assert (tiling.groups_together, tiling.rows_driven, tiling.arrays) == (16, 144, 1)
    assert tiling.activations == 9 * 6
    assert tiling.conversions == 144 * 36
    assert tiling.row_utilisation == 144 / 256
    assert tiling.column_utilisation == 16 / 42
    assert tiling.input_drives == 9 * 144 / 400
    # 64 rows hold 7 of them: three macros, of which the fullest drives 63 rows
    split = tile(DEPTHWISE, _macro(64, 256), Mapping(packing="none"))
    assert (split.groups_together, split.rows_driven, split.arrays) == (7, 63, 3)
    assert split.activations == 9 * 3 * 6
    assert split.row_utilisation == pytest.approx(16 / 3 * 9 / 64)
    # 18 rows and 2 columns of weights leave no place for a second window beside two groups
    assert tile(DEPTHWISE, _macro(18, 12), Mapping(packing="duplicate")).windows == 1
    # 36 rows are two groups of two windows, on 4 of 42 columns
    two = replace(DEPTHWISE, input_shape=(2, 5, 5), weight_shape=(2, 1, 3, 3), groups=2)
    packed = tile(two, _macro(36, 256), Mapping(packing="duplicate"))
    assert (packed.groups_together, packed.windows, packed.rows_driven) == (2, 2, 36)


def test_word_rows_of_a_bit_line_array_hold_one_group() -> None:
    array = Array(
        rows=64,
        columns=64,
        weight_bits_per_column=6,
        input_bits_per_step=6,
        functional_read_energy_pj=1,
        functional_read_time_ns=1,
        accumulate_energy_pj=1,
        accumulate_time_ns=1,
    )
    # a row holds seven sums of 9, but every group has one filter: 16 rows, read at 9 positions
    placement = place(DEPTHWISE, array)
    assert (placement.word_rows, placement.reads) == (16, 16 * 9)
    assert placement.conversions == 144


@pytest.mark.parametrize(
    ("groups", "kernel", "words"),
    [
        (2, 2, 2),  # two multipliers hold one group in either pass
        (3, 3, 6),  # passes of weights 01 23 45 67 8: groups 0, 0 1, 1, 2, 2
        (1, 4, 2 * 1),
    ],
)
def test_inputs_are_read_for_the_groups_of_a_pass(
    toy: Hardware, groups: int, kernel: int, words: int
) -> None:
    changes = {"input_shape": (groups, kernel), "weight_shape": (groups, 1, kernel)}
    bits = {"weight_bits": 2, "input_bits": 2, "groups": groups}
    layer = Layer(**PLAIN | LINE | changes | bits)
    digital = simulate_layer(layer, toy).digital
    per_group = -(-groups * kernel * 2 // 4) / groups  # words of 4 bits
    assert digital.components["input_reads"].energy_pj == pytest.approx(words * per_group)
    assert digital.components["multiplies"].energy_pj == groups * kernel * 4


@settings(deadline=None)
@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 4),
    rows=st.integers(1, 60),
)
def test_shifted_windows_drive_every_value_once(
    kernel: int, stride: int, dilation: int, rows: int
) -> None:
    sizes = {"input_shape": (1, 200), "weight_shape": (2, 1, kernel)}
    steps = {"stride": (stride,), "dilation": (dilation,)}
    layer = Layer(**PLAIN | LINE | sizes | steps)
    tiling = tile(layer, _macro(rows, 60_000), Mapping(packing="shifted"))

    def values(windows: int) -> int:
        return len({w * stride + k * dilation for w in range(windows) for k in range(kernel)})

    windows = int(tiling.windows)
    if kernel > rows:
        assert windows == 1
        return
    assert tiling.rows_driven == values(windows) <= rows
    assert windows == layer.positions or values(windows + 1) > rows


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"weight_shape": [16, 1, 3, 3]}, "16 input channels in place 1"),
        ({"weight_shape": [16, 1, 3, 3], "groups": 3}, "groups: found 3, expected a divisor"),
        ({"groups": 2}, "8 input channels in place 1, as input_shape has in each of 2 groups"),
        ({"groups": 0}, "groups: found 0"),
        ({"dilation": [2]}, "dilation"),
        ({"dilation": [0, 1]}, "dilation[0]"),
        ({"dilation": [3, 1]}, "at most 5"),
        ({"kind": "linear", "input_shape": [16], "weight_shape": [4, 8], "stride": [],
          "padding": [], "groups": 2}, "1 if linear"),
    ],
)  # fmt: skip
def test_wrong_geometry_is_one_line(
    changes: dict[str, Any], named: str, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "workload.json"
    path.write_text(json.dumps({"schema": 2, "name": "n", "layers": [PLAIN | changes]}))
    assert named in one_line_refusal("run", "--workload", str(path))


def test_both_schemas_are_read_and_the_second_is_written(tmp_path: Path) -> None:
    path = tmp_path / "workload.json"
    path.write_text(json.dumps({"schema": 1, "name": "n", "layers": [PLAIN]}))
    old = Workload.from_json(path)
    assert (old.layers[0].groups, old.layers[0].dilation) == (1, (1, 1))
    path.write_text(json.dumps({"schema": 2, "name": "n", "layers": [PLAIN]}))
    assert Workload.from_json(path) == old
    Workload(name="n", layers=(DEPTHWISE,)).to_json(path)
    assert json.loads(path.read_text())["schema"] == 2
    assert Workload.from_json(path).layers == (DEPTHWISE,)
    with pytest.raises(InputError, match="groups"):
        replace(DEPTHWISE, groups=5)
