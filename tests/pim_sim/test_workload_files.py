from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import InputError, Layer, Workload


def test_indian_pines_layer_has_the_counts_worked_on_paper(conv1: Layer) -> None:
    # output 198 x 3 x 3 = 1,782 positions; x 20 filters = 35,640 outputs; x 27 products = 962,280
    assert conv1.output_shape == (20, 198, 3, 3)
    assert (conv1.positions, conv1.outputs, conv1.fan_in) == (1_782, 35_640, 27)
    assert (conv1.macs, conv1.weights, conv1.inputs) == (962_280, 540, 5_000)


@settings(deadline=None)
@given(data=st.data())
def test_positions_equal_a_plain_sweep_of_the_kernel(
    data: st.DataObject, layers: st.SearchStrategy[Layer]
) -> None:
    layer = data.draw(layers)
    geometry = (layer.input_shape[1:], layer.weight_shape[2:], layer.dilation)
    starts = [
        [
            start
            for start in range(0, size + 2 * pad, step)
            if start + apart * (kernel - 1) < size + 2 * pad
        ]
        for size, kernel, apart, step, pad in zip(
            *geometry, layer.stride, layer.padding, strict=True
        )
    ]
    swept = len(list(itertools.product(*starts)))
    assert layer.positions == swept
    assert layer.outputs == swept * layer.weight_shape[0]
    assert layer.macs == swept * layer.weights


@settings(deadline=None)
@given(data=st.data())
def test_workload_comes_back_from_its_file_as_it_was(
    data: st.DataObject,
    layers: st.SearchStrategy[Layer],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    drawn = data.draw(st.lists(layers, min_size=1, max_size=4, unique_by=lambda layer: layer.name))
    workload = Workload(name="any", layers=tuple(drawn))
    path = tmp_path_factory.mktemp("workload") / "workload.json"
    workload.to_json(path)
    assert Workload.from_json(path) == workload
    assert [file.name for file in path.parent.iterdir()] == ["workload.json"]


def test_repeated_input_is_charged_once_and_any_other_once_a_step(
    layer_table: dict[str, Any],
) -> None:
    assert Layer(**layer_table).applications == 1
    assert Layer(**{**layer_table, "repeats_input": False}).applications == 5


@pytest.mark.parametrize("folder", ["a_file/workload.json", "a_file/deeper/workload.json"])
def test_workload_that_cannot_be_written_is_named_and_leaves_nothing(
    folder: str, tmp_path: Path, conv1: Layer
) -> None:
    (tmp_path / "a_file").write_text("kept")
    with pytest.raises(InputError, match=r"workload\.json: cannot be written \("):
        Workload(name="x", layers=(conv1,)).to_json(tmp_path / folder)
    assert [file.name for file in tmp_path.iterdir()] == ["a_file"]


def test_older_file_is_replaced_whole_not_written_over(tmp_path: Path, conv1: Layer) -> None:
    path, other_name_of_it = tmp_path / "workload.json", tmp_path / "link"
    path.write_text("older")
    other_name_of_it.hardlink_to(path)
    Workload(name="x", layers=(conv1,)).to_json(path)
    assert other_name_of_it.read_text() == "older"
    assert Workload.from_json(path).layers == (conv1,)


def test_failed_write_leaves_no_second_file(tmp_path: Path, conv1: Layer) -> None:
    (tmp_path / "workload.json").mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(InputError, match="cannot be written"):
        Workload(name="x", layers=(conv1,)).to_json(tmp_path / "workload.json")
    assert [file.name for file in tmp_path.iterdir()] == ["workload.json"]


BAD_FIELDS = [
    ("name", "", "layer name"),
    ("name", "two\nlines", "layer name"),
    ("name", 3, "layer name"),
    ("kind", "conv4d", "conv3d, conv2d, conv1d, linear"),
    ("kind", ["conv3d"], "kind"),
    ("input_shape", [1, 200, 5], "input_shape"),
    ("input_shape", "1x200x5x5", "input_shape"),
    ("input_shape", [1, 200, 5, 0], "input_shape[3]"),
    ("input_shape", [1, 200, 5, 5.0], "input_shape[3]"),
    ("input_shape", [1, 200, 5, True], "input_shape[3]"),
    ("weight_shape", [20, 1, 3, 3, -3], "weight_shape[4]"),
    ("weight_shape", [20, 2, 3, 3, 3], "input channels"),
    ("weight_shape", [20, 1, 3, 3, 6], "at most 5"),
    ("weight_shape", [20, 1, 3, 3, 10**40], "weight_shape[4]"),
    ("stride", [1, 0, 1], "stride[1]"),
    ("stride", 1, "stride"),
    ("padding", [0, 0, -1], "padding[2]"),
    ("weight_bits", 0, "weight_bits"),
    ("weight_bits", 65, "from 1 to 64"),
    ("input_bits", 6.0, "input_bits"),
    ("signed", 1, "true or false"),
    ("time_steps", 0, "time_steps"),
    ("input_density", 1.01, "from 0 to 1"),
    ("input_density", -0.1, "input_density"),
    ("input_density", float("nan"), "input_density"),
    ("input_density", "0.5", "input_density"),
    ("repeats_input", None, "repeats_input"),
]


@pytest.mark.parametrize(("field", "value", "named"), BAD_FIELDS)
def test_bad_layer_field_is_one_line_that_names_it(
    field: str,
    value: object,
    named: str,
    workload_table: dict[str, Any],
    one_line_refusal: Callable[..., str],
    tmp_path: Path,
) -> None:
    workload_table["layers"][0][field] = value
    path = tmp_path / "workload.json"
    path.write_text(json.dumps(workload_table))
    line = one_line_refusal("run", "--workload", str(path))
    assert str(path) in line
    assert named in line
    assert field == "name" or "layer 'conv1'" in line


def _without(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != key}


BAD_FILES: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("other schema", lambda t: {**t, "schema": 3}, "schema: found 3, expected 1 or 2"),
    ("schema as text", lambda t: {**t, "schema": "1"}, "schema"),
    ("schema as truth", lambda t: {**t, "schema": True}, "schema"),
    ("no schema", lambda t: _without(t, "schema"), "missing field 'schema'"),
    ("no name", lambda t: _without(t, "name"), "missing field 'name'"),
    ("name is a number", lambda t: {**t, "name": 7}, "name: found 7"),
    ("unknown field", lambda t: {**t, "colour": "red"}, "unknown field 'colour'"),
    ("no layers", lambda t: {**t, "layers": []}, "at least one layer"),
    ("layers no list", lambda t: {**t, "layers": {}}, "a list of layers"),
    ("layer no table", lambda t: {**t, "layers": [3]}, "layers[0]"),
    ("same name twice", lambda t: {**t, "layers": t["layers"] * 2}, "'conv1'"),
    ("file is a list", lambda t: [t], "the file"),
    (
        "layer field missing",
        lambda t: {**t, "layers": [_without(t["layers"][0], "stride")]},
        "layer 'conv1': missing field 'stride'",
    ),
    (
        "layer field unknown",
        lambda t: {**t, "layers": [{**t["layers"][0], "dilation": [1, 1, 1]}]},
        "layer 'conv1': unknown field 'dilation', expected schema 2",
    ),
    (
        "groups in schema 1",
        lambda t: {**t, "layers": [{**t["layers"][0], "groups": 1}]},
        "layer 'conv1': unknown field 'groups', expected schema 2",
    ),
]


@pytest.mark.parametrize(
    ("change", "named"), [(c, n) for _, c, n in BAD_FILES], ids=[i for i, *_ in BAD_FILES]
)
def test_bad_workload_file_is_one_line(
    change: Callable[[dict[str, Any]], object],
    named: str,
    workload_table: dict[str, Any],
    one_line_refusal: Callable[..., str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "workload.json"
    path.write_text(json.dumps(change(workload_table)))
    line = one_line_refusal("run", "--workload", str(path))
    assert str(path) in line
    assert named in line


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "line 1: not JSON"),
        (b'{"schema": 1,', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"schema": 1, "schema": 1}', "'schema' is given twice"),
    ],
    ids=["empty", "cut off", "not UTF-8", "nested without end", "endless number", "twice"],
)
def test_file_that_is_not_json_is_one_line(
    content: bytes, named: str, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "workload.json"
    path.write_bytes(content)
    line = one_line_refusal("run", "--workload", str(path))
    assert str(path) in line
    assert named in line
