from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import InputError, Layer, load_hardware
from pim_sim.cli import main
from pim_sim.cluster import with_equal_code
from pim_sim.sweep import sweep
from pim_sim.sweep.on_dask import PACKAGES, compute_part, read_summary
from pim_sim.sweep.pareto import undominated
from pim_sim.sweep.points import Grid

distributed = pytest.importorskip("distributed")
parquet = pytest.importorskip("pyarrow.parquet")

AXES = [
    "macro.array.rows=16,64,256",
    "mapping.packing=none,shifted",
    "macro.array.columns=3,96,252",  # 3 hold no weight of 6 bits
    "supply_v=0.8,1.0",
    "macro.converter.bits=4:8",
]
POINTS = 3 * 2 * 3 * 2 * 5


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def workload(workload_table: dict[str, Any], tmp_path: Path) -> str:
    path = tmp_path / "workload.json"
    path.write_text(json.dumps(workload_table), encoding="utf-8")
    return str(path)


@pytest.fixture
def answer(
    workload: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Run `pim-sim sweep` with the axes above, in parts of 7 points; return its JSON."""
    monkeypatch.setattr("pim_sim.sweep.on_dask.PART_POINTS", 7)

    def run(*options: str) -> dict[str, Any]:
        axes = [part for axis in AXES for part in ("--axis", axis)]
        given = ["--workload", workload, "--hardware", "charge_28nm", "--json"]
        main(["sweep", *given, *axes, *options])
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        return said

    return run


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_any_cut_of_a_grid_gives_the_points_of_the_whole(data: st.DataObject, conv1: Layer) -> None:
    names = data.draw(st.permutations(["node_nm", "mapping.packing", "macro.array.rows", "adc"]))
    values: dict[str, list[Any]] = {
        "node_nm": [65, 28.5],
        "mapping.packing": ["none", "duplicate", "shifted"],
        "macro.array.rows": [3, 40, 27],
        "macro.converter.bits": [8, 4],
    }
    axes = {name: values[name] for name in values if name in names or data.draw(st.booleans())}
    hardware = load_hardware("charge_28nm")
    whole, grid = sweep(conv1, hardware, axes), Grid.of(conv1, hardware, axes)
    cuts = sorted({0, len(grid), *data.draw(st.lists(st.integers(0, len(grid)), max_size=4))})
    parts = [grid.points(first, last) for first, last in itertools.pairwise(cuts)]
    for name, column in whole.columns.items():
        found = np.concatenate([part.columns[name] for part in parts])
        assert found.dtype == column.dtype
        np.testing.assert_array_equal(found, column)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), objectives=st.integers(1, 4))
def test_front_of_many_points_is_what_no_point_beats(seed: int, objectives: int) -> None:
    costs = np.random.default_rng(seed).integers(0, 40, (9_000, objectives)).astype(float)
    front = undominated(costs)
    rows = {tuple(row) for row in costs[front]}
    assert len(rows) == len(front)
    for row in costs[:200]:
        beaten = (np.all(costs[front] <= row, axis=1) & np.any(costs[front] < row, axis=1)).any()
        assert beaten != (tuple(row) in rows)
    for row in rows:
        assert not (np.all(costs <= row, axis=1) & np.any(costs < row, axis=1)).any()


def test_part_without_a_possible_design_is_empty(conv1: Layer, tmp_path: Path) -> None:
    axes = {"macro.array.columns": [3, 96], "macro.array.rows": [8, 16]}
    grid = Grid.of(conv1, load_hardware("charge_28nm"), axes)
    (tmp_path / "part.parquet").write_bytes(compute_part(grid, 0, 2))
    found = read_summary(tmp_path / "part.parquet")
    assert (found.designs, found.impossible, found.front) == (0, 2, [])
    assert parquet.read_table(tmp_path / "part.parquet").num_rows == 0


def test_large_sweep_says_and_holds_what_the_small_one_does(
    answer: Callable[..., dict[str, Any]], address: str, tmp_path: Path
) -> None:
    small = answer("--csv", str(tmp_path / "points.csv"))
    folder = tmp_path / "points"
    large = answer("--parquet", str(folder), "--scheduler", address)
    for said in (small, large):
        del said["points_per_second"]
    assert large == small
    assert (large["points"], large["impossible"]) == (POINTS * 2 // 3, POINTS // 3)
    assert sum(path.suffix == ".parquet" for path in folder.iterdir()) == -(-POINTS // 7)
    table = parquet.read_table(folder)
    lines = (tmp_path / "points.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",") == table.column_names
    rows = [",".join(map(str, row.values())) for row in table.to_pylist()]
    assert rows == lines[1:]


def test_stopped_sweep_resumes_and_computes_nothing_twice(
    answer: Callable[..., dict[str, Any]], address: str, tmp_path: Path
) -> None:
    folder = tmp_path / "points"
    options = ["--parquet", str(folder), "--scheduler", address]
    first = answer(*options)
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    lost = sorted(content)[2:5]
    for name in lost:
        (folder / name).unlink()
    (folder / ".part-00003.parquet.1.tmp").write_bytes(b"half")  # left by a killed process
    kept = {p.name: p.stat().st_mtime_ns for p in folder.iterdir() if p.suffix == ".parquet"}
    again = answer(*options)
    assert (first["computed"], again["computed"]) == (POINTS, 7 * len(lost))
    assert {name: (folder / name).read_bytes() for name in content} == content
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == kept
    assert answer(*options)["computed"] == 0
    for said in (first, again):
        del said["computed"], said["points_per_second"]
    assert again == first


def test_folder_of_anything_else_is_refused(
    answer: Callable[..., dict[str, Any]],
    address: str,
    workload: str,
    tmp_path: Path,
    one_line_refusal: Callable[..., str],
) -> None:
    folder = tmp_path / "points"
    answer("--parquet", str(folder), "--scheduler", address)
    options = ["sweep", "--workload", workload, "--axis", "adc.bits=4:6", "--parquet"]
    assert "holds a sweep with another hardware" in one_line_refusal(*options, str(folder))
    assert "expected a new folder" in one_line_refusal(*options, str(tmp_path))
    assert "expected a new folder" in one_line_refusal(*options, workload)
    (folder / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(SystemExit):
        answer("--parquet", str(folder), "--scheduler", address)


@pytest.mark.parametrize("package", ["pyarrow", "distributed"])
def test_missing_package_is_one_line_that_names_the_extra(
    package: str,
    workload: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_line_refusal: Callable[..., str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    options = ["sweep", "--workload", workload, "--axis", "adc.bits=4:6"]
    line = one_line_refusal(*options, "--parquet", str(tmp_path / "points"))
    assert f"{package}: not installed" in line
    assert "pip install 'snnquant[sweep]'" in line


def test_options_that_do_not_go_together_are_one_line(
    workload: str, tmp_path: Path, one_line_refusal: Callable[..., str]
) -> None:
    options = ["sweep", "--workload", workload, "--axis", "adc.bits=4:6"]
    assert "without --parquet" in one_line_refusal(*options, "--scheduler", "tcp://127.0.0.1:8786")
    both = ["--parquet", str(tmp_path / "points"), "--csv", str(tmp_path / "points.csv")]
    assert "--csv or --svg" in one_line_refusal(*options, *both)
    huge = [f"--axis={name}=6:2205" for name in ("array.columns", "array.rows", "memory.banks")]
    assert "10,000,000,000" in one_line_refusal(*options, *huge, *both[:2])


def test_scheduler_that_cannot_be_had_is_one_line(
    workload: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_line_refusal: Callable[..., str],
) -> None:
    monkeypatch.setattr("pim_sim.cluster.WAIT_S", 1)
    options = ["sweep", "--workload", workload, "--axis", "adc.bits=4:6"]
    options += ["--parquet", str(tmp_path / "points"), "--scheduler"]
    assert "--scheduler tcp://127.0.0.1:1:" in one_line_refusal(*options, "tcp://127.0.0.1:1")
    assert "--scheduler nonsense://x:" in one_line_refusal(*options, "nonsense://x")
    with distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address="127.0.0.1:0"
    ) as empty:
        assert "no worker within 1 s" in one_line_refusal(*options, empty.scheduler_address)


def test_worker_with_other_code_is_refused(conv1: Layer) -> None:
    grid = Grid.of(conv1, load_hardware("sram_65nm"), {"adc.bits": [4, 5]})
    with pytest.raises(InputError, match="another version of pim_sim"):
        with_equal_code("older", PACKAGES, compute_part, grid, 0, 2)


@pytest.mark.slow
def test_killed_sweep_on_this_machine_ends_like_one_that_was_not(
    workload: str, tmp_path: Path
) -> None:
    folder = tmp_path / "points"
    code = "import sys; from pim_sim.cli import main; main(sys.argv[1:])"
    axes = ["macro.array.rows=8:300", "macro.array.columns=66:1024:2", "macro.converter.bits=4:8"]
    command = [sys.executable, "-c", code, "sweep", "--workload", workload, "--json"]
    command += ["--hardware", "c2c_22nm", *(part for axis in axes for part in ("--axis", axis))]
    killed = subprocess.Popen(
        [*command, "--parquet", str(folder)], stdout=subprocess.PIPE, start_new_session=True
    )
    for _ in range(6000):  # ten minutes on a busy machine
        if any(folder.glob("part-*.parquet")):
            break
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    done = len(list(folder.glob("part-*.parquet")))
    assert 0 < done < 3
    answers = [
        json.loads(subprocess.run([*command, *more], capture_output=True, check=True).stdout)
        for more in (["--parquet", str(folder)], [])
    ]
    assert answers[0]["computed"] == answers[1]["computed"] - 250_000 * done
    for answer in answers:
        del answer["computed"], answer["points_per_second"]
    assert answers[0] == answers[1]
