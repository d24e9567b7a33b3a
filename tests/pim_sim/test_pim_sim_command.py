from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from pim_sim import Workload, load_hardware, simulate
from pim_sim.cli import main
from pim_sim.hardware import HARDWARE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_dir(tmp_path: Path, workload_table: dict[str, Any]) -> Path:
    (tmp_path / "workload.json").write_text(json.dumps(workload_table))
    return tmp_path


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_json_is_the_whole_of_stdout_and_holds_the_contract(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "--run", str(run_dir), "--hardware", "sram_45nm", "--json"])
    output, errors = capsys.readouterr()
    answer = json.loads(output)
    assert errors == ""
    contract = "digital in_memory ratio breakdown layer hardware utilisation interval network chip"
    assert set(answer) == {*contract.split(), "network_ratio"}
    assert answer["hardware"] == "sram_45nm"
    assert answer["layer"]["macs"] == 962_280
    for quantity in ("energy", "delay", "edp"):
        assert set(answer["ratio"][quantity]) == {"factor", "saved"}
    for design in ("digital", "in_memory"):
        assert {"energy_pj", "delay_ns", "edp_pj_ns"} <= set(answer[design])
        for cost in answer["breakdown"][design].values():
            assert set(cost) == {"energy_pj", "delay_ns"}


def test_command_and_library_answer_the_same(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "--workload", str(run_dir / "workload.json"), "--json"])
    workload = Workload.from_json(run_dir / "workload.json")
    report = simulate(workload, load_hardware("sram_65nm")).to_dict()
    answer = json.loads(capsys.readouterr().out)
    for name in ("chip", "network", "network_ratio"):
        del answer[name]
    assert answer == json.loads(json.dumps(report))


def test_text_shows_both_readings_and_every_component(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "--run", str(run_dir)])
    text = capsys.readouterr().out
    assert "ACE-SNN" not in text
    quantities = ("energy, nJ", "delay, us", "EDP, nJ us")
    for part in ("factor", "saved", *quantities, "digital: multiplies", "70.3%"):
        assert part in text


def test_breakdown_is_written_as_a_table(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "breakdown.csv"
    main(["run", "--run", str(run_dir), "--csv", str(path), "--json"])
    breakdown = json.loads(capsys.readouterr().out)["breakdown"]
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    read = {(row["design"], row["component"]): float(row["energy_pj"]) for row in rows}
    assert read == {
        (design, part): cost["energy_pj"]
        for design, parts in breakdown.items()
        for part, cost in parts.items()
    }


def test_breakdown_that_cannot_be_written_is_one_line(
    run_dir: Path, tmp_path: Path, one_line_refusal: Callable[..., str]
) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / "file" / "breakdown.csv")
    assert f"{path}: cannot be written" in one_line_refusal(
        "run", "--run", str(run_dir), "--csv", path
    )


def test_shipped_hardware_is_listed_shown_and_passes_its_check(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["hardware"])
    listed = capsys.readouterr().out
    main(["hardware", "list"])
    assert capsys.readouterr().out == listed
    assert [line.split()[0] for line in listed.splitlines()] == list(HARDWARE.names())
    for name in HARDWARE.names():
        main(["hardware", "show", name])
        assert capsys.readouterr().out == HARDWARE.file(name).read_text(encoding="utf-8")
        main(["hardware", "check", str(HARDWARE.file(name))])
        assert load_hardware(name).description in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run"], "one of --run DIR, --workload FILE, --onnx FILE and --layer SHAPE"),
        (
            ["run", "--run", "a", "--workload", "b"],
            "one of --run DIR, --workload FILE, --onnx FILE and --layer SHAPE",
        ),
        (["run", "--run"], "--run"),
        (["run", "--checkpoint", "a"], "--checkpoint"),
        (["run", "--rum", "a"], "--rum"),
        (["run", "a"], "'a'"),
        (["run", "--run", "nowhere"], "nowhere/workload.json: No such file"),
        (["run", "--workload", "."], "Is a directory"),
        (["simulate"], "simulate"),
        (["hardware", "show"], "argument"),
        (["hardware", "show", "sram_66nm"], "or one of ace_snn, bit_line_6t_28nm"),
        (["hardware", "check", "nowhere.toml"], "nowhere.toml: No such file"),
        (["hardware", "check", "two\nlines.toml"], "two lines.toml"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], named: str, one_line_refusal: Callable[..., str]
) -> None:
    assert named in one_line_refusal(*arguments)


def test_unknown_hardware_of_a_good_run_is_one_line(
    run_dir: Path, one_line_refusal: Callable[..., str]
) -> None:
    assert "sram_66nm" in one_line_refusal("run", "--run", str(run_dir), "--hardware", "sram_66nm")


def test_command_runs_without_torch_or_network(run_dir: Path) -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('network')\n"
        "socket.socket = socket.create_connection = refuse\n"
        "from pim_sim.cli import main\n"
        f"main(['run', '--run', {str(run_dir)!r}, '--json'])\n"
        "heavy = {'torch', 'scipy', 'snnquant', 'distributed', 'pyarrow'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)\n"
    )
    done = _python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"
    assert json.loads(done.stdout)["layer"]["name"] == "conv1"


def test_wrong_input_of_the_process_is_exit_2_without_traceback(run_dir: Path) -> None:
    (run_dir / "workload.json").write_text("{}")
    done = _python("-c", "from pim_sim.cli import main; main()", "run", "--run", str(run_dir))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"pim-sim: {run_dir}/workload.json: missing field 'schema'\n"


def _command_writing_to(stdout: int | IO[str], run_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from pim_sim.cli import main; main()",
            "run",
            "--run",
            str(run_dir),
        ],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},  # so that the text waits for the flush
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a full disk")
def test_full_disk_of_stdout_is_one_line(run_dir: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = _command_writing_to(full, run_dir)
    assert done.returncode == 2
    assert done.stderr == "pim-sim: standard output: No space left on device\n"


def test_reader_that_leaves_early_is_no_error(run_dir: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = _command_writing_to(writing, run_dir)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_script_prints_what_the_command_prints_of_the_first_layer(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "--run", str(run_dir), "--hardware", "sram_45nm"])
    by_command = capsys.readouterr().out
    for path in (run_dir, run_dir / "workload.json"):
        done = _python("scripts/simulate_pim.py", str(path), "sram_45nm")
        assert done.returncode == 0
        assert done.stdout.startswith("Layer conv1")
        assert by_command.endswith(f"\n\n{done.stdout}")


def test_script_refuses_in_one_line(tmp_path: Path) -> None:
    done = _python("scripts/simulate_pim.py", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{tmp_path}/workload.json: No such file" in done.stderr
