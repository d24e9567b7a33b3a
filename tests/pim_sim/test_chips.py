"""Chip files, their options on the command line, and the sources of workloads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pim_sim import InputError, Operation, Workload, load_chip
from pim_sim.cli import main
from pim_sim.hardware import CHIPS, load_macro, with_fields, with_macro
from pim_sim.workload import from_onnx, one_layer

ROOT = Path(__file__).parents[2]
TEXT = CHIPS.file("edge_22nm").read_text(encoding="utf-8")
LAYER = ("run", "--layer", "8x1x7x3x3", "--input", "1x200x5x5", "--bits", "6")


def _answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    main([*arguments, "--json"])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_shipped_files_are_those_of_the_script(tmp_path: Path) -> None:
    code = (
        "import runpy, pathlib\n"
        "module = runpy.run_path('scripts/calibration/make_chips.py')\n"
        "for name, system in module['SYSTEMS'].items():\n"
        "    print(name, module['text'](system) == (module['FOLDER'] / f'{name}.toml').read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.split() == [word for name in CHIPS.names() for word in (name, "True")]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[chip.dram]", "[chip.ram]", "chip: unknown field 'ram'"),
        ("multipliers = 256", "multipliers = 0", "chip.core.multipliers: found 0"),
        ("clock_ns = 2 ", "clock_ns = -2 ", "clock_ns: found -2"),
        ("rows = 64 ", "rows = -1 ", "macro: array.rows: found -1"),
        ("supply_v = 0.8", "supply_v = 80", "supply_v: found 80"),
        ("# pJ per bit:", "#", "bit_energy_pj: found '1 mm"),
        (
            "[chip.neurons]",
            "[chip.neurons]\nmore = 1 # of them",
            "chip.neurons: unknown field 'more'",
        ),
        ("bits_per_ns = 32.0", "bits_per_ns = 0", "chip.dram.bits_per_ns: found 0"),
    ],
)
def test_a_bad_chip_is_one_line(
    old: str, new: str, named: str, one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new)
    if named.startswith("bit_energy_pj"):
        text = "\n".join(
            line.partition("#")[0] if "bit_energy_pj" in line else line for line in text.split("\n")
        )
        named = "bit_energy_pj: found ''"
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    line = one_line_refusal("chips", "check", str(path))
    assert str(path) in line
    assert named in line


def test_chips_are_listed_shown_and_checked(capsys: pytest.CaptureFixture[str]) -> None:
    main(["chips"])
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == list(CHIPS.names())
    main(["chips", "show", "edge_22nm"])
    assert capsys.readouterr().out == TEXT
    main(["chips", "check", "edge_65nm"])
    assert "edge chip at 65 nm" in capsys.readouterr().out


def test_one_layer_needs_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _answer(capsys, *LAYER, "--chip", "edge_22nm")
    assert answer["layer"]["macs"] == 8 * 194 * 9 * 63
    assert answer["chip"] == {"name": "edge_22nm", "node_nm": 22.0, "supply_v": 0.8}
    (network,) = answer["network"].values()
    names = {"energy_pj", "latency_ns", "edp", "area_mm2", "breakdown", "interval"}
    assert names <= set(network)
    assert set(network["alternatives"]) == {"none", "first", "all"}
    for placement, row in network["alternatives"].items():
        asked = _answer(capsys, *LAYER, "--chip", "edge_22nm", "--in-memory", placement)
        assert asked["network"]["cnn_quantized"]["energy_pj"] == pytest.approx(row["energy_pj"])


def test_a_run_directory_has_its_networks_side_by_side(
    tmp_path: Path, workload_table: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    layer = workload_table["layers"][0]
    fc = {
        **layer, "name": "fc", "kind": "linear", "input_shape": [35640], "input_bits": 1,
        "weight_shape": [9, 35640], "stride": [], "padding": [], "repeats_input": False,
        "input_density": 0.2,
    }  # fmt: skip
    for name, bits, steps in (("workload", 1, 5), ("workload_cnn_quantized", 8, 1)):
        layers = [{**layer, "time_steps": steps}]
        layers.append({**fc, "input_bits": bits, "time_steps": steps, "repeats_input": bits > 1})
        table = {"schema": 1, "name": name, "layers": layers}
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
    answer = _answer(capsys, "run", "--run", str(tmp_path), "--in-memory", "conv1")
    assert list(answer["network"]) == ["snn", "cnn_quantized"]
    snn, cnn = answer["network"].values()
    ratio = answer["network_ratio"]["cnn_quantized_over_snn"]
    for quantity, key in (("energy", "energy_pj"), ("latency", "latency_ns"), ("edp", "edp")):
        assert ratio[quantity] == pytest.approx(cnn[key] / snn[key])
        low, high = ratio["interval"][quantity]
        assert low <= ratio[quantity] <= high
    width = snn["interval"]["energy_pj"][1] / snn["interval"]["energy_pj"][0]
    assert ratio["interval"]["energy"][1] / ratio["interval"]["energy"][0] < width
    assert "neurons" in snn["breakdown"]["conv1"]
    assert "activations" in cnn["breakdown"]["conv1"]
    assert snn["mapping"]["conv1"]["place"] == cnn["mapping"]["conv1"]["place"] == "in memory"
    main(["run", "--run", str(tmp_path), "--map", "--equal", "area"])
    text = capsys.readouterr().out
    for part in (
        "snn, digital",
        "cnn_quantized, all layers in memory",
        "equal area",
        "cnn_quantized, by layer",
    ):
        assert part in text


def test_supply_and_fields_move_the_chip(capsys: pytest.CaptureFixture[str]) -> None:
    usual = _answer(capsys, *LAYER, "--chip", "edge_22nm", "--in-memory", "all")
    lower = _answer(capsys, *LAYER, "--chip", "edge_22nm", "--in-memory", "all", "--supply", "0.7")
    coarse = _answer(
        capsys, *LAYER, "--chip", "edge_22nm", "--in-memory", "all", "--set",
        "macro.converter.bits=4", "--set", "chip.clock_ns=4.0",
    )  # fmt: skip
    energy = [answer["network"]["cnn_quantized"]["energy_pj"] for answer in (usual, lower, coarse)]
    delay = [answer["network"]["cnn_quantized"]["latency_ns"] for answer in (usual, lower, coarse)]
    assert energy[1] < energy[0]
    assert delay[1] > delay[0]
    assert energy[2] < energy[0]


def test_a_users_macro_takes_the_place_of_the_chips(tmp_path: Path) -> None:
    chip = with_macro(load_chip("edge_22nm"), load_macro("jia_2020"))
    assert (chip.node_nm, chip.supply_v) == (65, 0.85)
    assert chip.macro is not None
    assert (chip.macro.array.rows, chip.macro.copies) == (2304, 40)
    # Horowitz's 0.2 pJ at 45 nm and 0.9 V, at 65 nm and 0.85 V
    assert chip.core.multiply_energy_pj == pytest.approx(
        load_chip("edge_65nm").moved(supply_v=0.85).core.multiply_energy_pj, rel=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((*LAYER, "--set", "macro.rows=4"), "--set macro.rows: found 'rows', expected one of"),
        (
            (*LAYER, "--set", "macro.array.rows"),
            "--set: found 'macro.array.rows', expected FIELD=V",
        ),
        ((*LAYER, "--set", "core.multipliers.more=1"), "expected no further part"),
        ((*LAYER, "--set", "core.multipliers=-1"), "multipliers: found -1"),
        ((*LAYER, "--in-memory", "conv2"), "layer in memory: found 'conv2'"),
        ((*LAYER, "--chip", "edge_21nm"), "chip: found 'edge_21nm'"),
        ((*LAYER, "--supply", "9"), "supply_v: found 9"),
        (("run", "--layer", "8x1x7x3x3"), "--layer: found no --input SHAPE"),
        (("run", "--layer", "8x1xq", "--input", "1x4"), "--layer: found '8x1xq'"),
        (("run", "--layer", "8", "--input", "1"), "--layer: found '8', expected 2 to 5 numbers"),
        (("run", "--onnx", "nowhere.onnx"), "nowhere.onnx: No such file"),
        (("run", "--workload", "w.json", "--bits", "6"), "--bits: found it beside a file"),
        (("run", "--onnx", "n.onnx", "--stride", "2"), "--stride: found it beside a file"),
        ((*LAYER, "--set", "core.sum_registers=65"), "sum_registers: found 65"),
        ((*LAYER, "--set", "core.multipliers=70000"), "multipliers: found 70000"),
        ((*LAYER, "--density", "2"), "input_density: found 2"),
        ((*LAYER, "--time-steps", "0"), "time_steps: found 0"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: tuple[str, ...], named: str, one_line_refusal: Callable[..., str]
) -> None:
    assert named in one_line_refusal(*arguments)


def test_fields_of_a_word_need_no_quotes() -> None:
    chip = with_fields(load_chip("edge_22nm"), ["mapping.packing=none"])
    assert chip.mapping.packing == "none"


def test_an_onnx_file_is_a_workload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "net.onnx"
    onnx.save(_onnx_model(onnx), str(path))
    found = from_onnx(path, weight_bits=6, input_bits=4)
    assert [(row.name, row.kind, row.macs) for row in found.layers] == [
        ("depth", "conv2d", 4 * 36 * 9),
        ("dense", "linear", 36 * 10),
    ]
    assert found.layers[0].groups == 4
    assert [(row.name, row.kind, row.outputs) for row in found.operations] == [
        ("sum", "add", 4 * 36),
        ("pool", "max_pool", 4 * 9),
    ]
    assert {row.weight_bits for row in found.layers} == {6}
    answer = _answer(capsys, "run", "--onnx", str(path), "--input-bits", "4", "--weight-bits", "6")
    assert set(answer["network"]["cnn_quantized"]["breakdown"]) == {"depth", "dense", "sum", "pool"}


def _onnx_model(onnx: Any) -> Any:
    import numpy as np

    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = [
        onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for name, shape in (("w1", (4, 1, 3, 3)), ("w2", (10, 36)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="depth", group=4, pads=[1] * 4),
        helper.make_node("Add", ["a", "x"], ["b"], name="sum"),
        helper.make_node("MaxPool", ["b"], ["c"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "w2"], ["y"], name="dense", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", kind, [1, 4, 6, 6])],
        [helper.make_tensor_value_info("y", kind, [1, 10])], weights,
    )  # fmt: skip
    return helper.make_model(graph)


def test_a_damaged_onnx_file_is_one_line(
    tmp_path: Path, one_line_refusal: Callable[..., str]
) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x08\x99not a model")
    assert "not ONNX" in one_line_refusal("run", "--onnx", str(path))


def test_operations_survive_their_file(tmp_path: Path) -> None:
    pool = Operation(name="pool", kind="average_pool", input_shape=(4, 6), kernel=(2,), bits=8)
    layer = replace(one_layer("4x3", "3").layers[0], accumulates=None, membrane_bits=12)
    workload = Workload(name="w", layers=(layer,), operations=(pool,))
    path = tmp_path / "w.json"
    workload.to_json(path)
    assert Workload.from_json(path) == workload
    table = json.loads(path.read_text())
    assert "accumulates" not in table["layers"][0]
    table["schema"] = 1
    path.write_text(json.dumps(table))
    with pytest.raises(InputError, match="unknown field 'operations'"):
        Workload.from_json(path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "pool"}, "operation 'p': kind: found 'pool'"),
        ({"kernel": [2]}, "operation 'p': kernel: found [2]"),
        ({"kernel": [9, 9]}, "a kernel within the padded input"),
        ({"bits": 0}, "operation 'p': bits: found 0"),
        ({"stride": [0, 1]}, "operation 'p': stride[0]: found 0"),
        ({"more": 1}, "operations[0]: unknown field 'more'"),
    ],
)
def test_a_bad_operation_is_one_line(
    changes: dict[str, Any], named: str, tmp_path: Path, one_line_refusal: Callable[..., str]
) -> None:
    path = tmp_path / "w.json"
    Workload(name="w", layers=one_layer("4x3", "3").layers).to_json(path)
    table = json.loads(path.read_text())
    pool = {"name": "p", "kind": "max_pool", "input_shape": [4, 6, 6], "kernel": [2, 2], "bits": 8}
    table["operations"] = [pool | changes]
    path.write_text(json.dumps(table))
    assert named in one_line_refusal("run", "--workload", str(path))
