from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import Layer, load_hardware
from pim_sim.analog import AnalogConfig
from pim_sim.cli import main
from pim_sim.hardware import HARDWARE
from pim_sim.sweep import pareto, sweep
from pim_sim.sweep.measured_accuracy import MeasuredAccuracy, conditions

POINTS = {(4, 8): 0.5, (4, 32): 0.7, (6, 8): 0.8, (6, 32): 0.9}


def _table(layer: Layer, hardware: str) -> dict[str, Any]:
    found = conditions(layer, load_hardware(hardware))
    return {
        "schema": 1,
        "network": "indian pines cnn3d",
        "pixels": 1000,
        "chips": 2,
        "percentile": 99,
        "conditions": json.loads(json.dumps(found, default=int)),
        "points": [
            {"adc_bits": bits, "rows": rows, "oa": oa, "interval": [oa, oa]}
            for (bits, rows), oa in POINTS.items()
        ],
    }


@pytest.fixture
def write(tmp_path: Path, conv1: Layer) -> Callable[..., Path]:
    def written(hardware: str = "c2c_22nm", **changes: Any) -> Path:
        path = tmp_path / "accuracy.json"
        path.write_text(json.dumps({**_table(conv1, hardware), **changes}), encoding="utf-8")
        return path

    return written


@settings(deadline=None)
@given(
    bits=st.lists(st.integers(4, 6), min_size=1, max_size=3),
    rows=st.lists(st.integers(8, 600), min_size=1, max_size=4),
)
def test_accuracy_lies_on_straight_lines_between_what_was_measured(
    bits: list[int], rows: list[int], conv1: Layer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("measured") / "accuracy.json"
    path.write_text(json.dumps(_table(conv1, "c2c_22nm")), encoding="utf-8")
    measured = MeasuredAccuracy.from_json(path)
    hardware = load_hardware("c2c_22nm")
    axes = {"macro.converter.bits": bits, "macro.array.rows": rows}
    swept = sweep(conv1, hardware, axes, accuracy=measured)
    assert len(swept) == len(bits) * len(rows)
    for i, oa in enumerate(swept.results["oa"]):
        b, r = (swept.axes[name][i].item() for name in axes)
        # 27 products, so that 32 rows hold them all and count as 27
        share = math.log(min(r, 27) / 8) / math.log(27 / 8)
        ends = [POINTS[end, 8] + share * (POINTS[end, 32] - POINTS[end, 8]) for end in (4, 6)]
        assert oa == pytest.approx(ends[0] + (b - 4) / 2 * (ends[1] - ends[0]))


@pytest.mark.parametrize("name", HARDWARE.names())
def test_conditions_are_what_the_analog_layer_is_given(name: str, conv1: Layer) -> None:
    hardware = load_hardware(name)
    found = conditions(conv1, hardware)
    config = AnalogConfig.of_hardware(hardware, input_bits=6, weight_bits=6)
    assert (config.input_bits_per_step or 6) == found["input_bits_a_conversion"]
    assert (config.weight_bits_per_column or 6) == found["weight_bits_a_column"]
    assert config.weight_signs == found["weight_signs"]
    assert {f"noise.{k}": v for k, v in vars(config.noise).items()}.items() <= found.items()


def test_front_prefers_measured_accuracy(conv1: Layer, write: Callable[..., Path]) -> None:
    path = write()
    table = json.loads(path.read_text())
    for point in table["points"]:
        point["oa"] = 0.9 if point["adc_bits"] == 4 else 0.2  # more bits are worse here
    path.write_text(json.dumps(table))
    hardware = load_hardware("c2c_22nm")
    axes = {"macro.converter.bits": [4, 5, 6]}
    by_estimate = sweep(conv1, hardware, axes)
    assert by_estimate.axes["macro.converter.bits"][pareto(by_estimate)].tolist() == [4, 5, 6]
    swept = sweep(conv1, hardware, axes, accuracy=MeasuredAccuracy.from_json(path))
    assert swept.axes["macro.converter.bits"][pareto(swept)].tolist() == [4]
    np.testing.assert_array_equal(
        swept.results["quantization_error"], by_estimate.results["quantization_error"]
    )


@pytest.fixture
def workload(workload_table: dict[str, Any], tmp_path: Path) -> str:
    path = tmp_path / "workload.json"
    path.write_text(json.dumps(workload_table), encoding="utf-8")
    return str(path)


def test_command_chooses_by_the_file_and_says_so(
    workload: str, write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["sweep", "--workload", workload, "--hardware", "c2c_22nm"]
    options += ["--axis", "macro.converter.bits=4:6", "--axis", "macro.array.rows=8,27,64"]
    main(options)
    assert "estimated error of quantization" in capsys.readouterr().out
    options += ["--accuracy", str(write())]
    main(options)
    assert "and measured OA:" in capsys.readouterr().out
    small = _json(capsys, options)
    assert max(row["oa"] for row in small["pareto"]) == pytest.approx(0.9)
    pytest.importorskip("pyarrow")
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        folder = ["--parquet", str(tmp_path / "points"), "--scheduler", cluster.scheduler_address]
        large = _json(capsys, [*options, *folder])
        assert large["pareto"] == small["pareto"]
        with pytest.raises(SystemExit):  # the same folder for a sweep without the file
            main([*options[:-2], *folder])
    assert "with another accuracy" in capsys.readouterr().err


def _json(capsys: pytest.CaptureFixture[str], options: list[str]) -> dict[str, Any]:
    main([*options, "--json"])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


@pytest.mark.parametrize(
    ("axis", "named"),
    [
        ("macro.converter.bits=4:8", "measured at 4 to 6 ADC bits, found 4 to 8"),
        ("macro.converter.bits=3", "measured at 4 to 6 ADC bits, found 3"),
        ("macro.array.rows=4,27", "measured at 8 to 27 rows, found 4 to 27"),
        ("layer.weight_bits=4,6", "measured with weight_bits 6, found 4, 6"),
        ("macro.input.bits_per_step=2", "measured with input_bits_a_conversion 6, found 2"),
        ("macro.array.signed=offset,differential_rows", "measured with weight_signs offset"),
        ("noise.gain=0.1", "measured with noise.gain 0.0, found 0.1"),
    ],
)
def test_design_that_was_not_measured_is_one_line(
    axis: str,
    named: str,
    workload: str,
    write: Callable[..., Path],
    one_line_refusal: Callable[..., str],
) -> None:
    axes = [axis]
    if "converter" not in axis:
        axes.append("macro.converter.bits=5")
    given = [part for one in axes for part in ("--axis", one)]
    options = ["--workload", workload, "--hardware", "c2c_22nm", "--accuracy", str(write())]
    assert named in one_line_refusal("sweep", *options, *given)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schema": 2}, "schema: found 2"),
        ({"points": []}, "points: found []"),
        ({"points": [{"adc_bits": 4}]}, "missing field 'rows'"),
        ({"points": [{"adc_bits": 4, "rows": 8, "oa": 98.5, "interval": []}]}, "oa: found 98.5"),
        ({"conditions": 3}, "conditions: found 3"),
        ({"extra": 1}, "unknown field 'extra'"),
    ],
)
def test_bad_accuracy_file_is_one_line(
    changes: dict[str, Any],
    named: str,
    workload: str,
    write: Callable[..., Path],
    one_line_refusal: Callable[..., str],
) -> None:
    path = write(**changes)
    options = ["--workload", workload, "--axis", "adc.bits=4:6", "--accuracy", str(path)]
    line = one_line_refusal("sweep", *options)
    assert str(path) in line
    assert named in line


def test_accuracy_file_with_holes_or_unreadable_is_one_line(
    workload: str, write: Callable[..., Path], one_line_refusal: Callable[..., str]
) -> None:
    options = ["--workload", workload, "--axis", "adc.bits=4:6", "--accuracy"]
    path = write()
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "points": table["points"][:3]}))
    assert "every bits with every rows" in one_line_refusal("sweep", *options, str(path))
    path.write_text("{")
    assert "not JSON" in one_line_refusal("sweep", *options, str(path))
    assert "No such file" in one_line_refusal("sweep", *options, str(path) + "x")
