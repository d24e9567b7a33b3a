"""Maps by the workers of a Dask cluster are those of this machine, bit for bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from snnquant.cli import main
from snnquant.errors import InputError
from snnquant.inference import Cube, tiles, tiles_on_dask
from snnquant.inference.tiles_on_dask import MadeMethod, read_and_compute
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import draw_map
from snnquant.scenes import load_scene

distributed = pytest.importorskip("distributed")
ENGINES = {
    "float": ["--engine", "float"],
    "integer": ["--engine", "integer"],
    "early exit": ["--engine", "integer", "--early-exit"],
}


@pytest.fixture(autouse=True)
def _small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TILE", 7)
    monkeypatch.setattr(tiles_on_dask, "TILES_PER_TASK", 2)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of a scheduler whose worker is a thread of this process."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def field(tmp_path: Path) -> Path:
    """A cube in a file, with a gap, whose rows and columns are no multiple of a tile."""
    cube = np.tile(load_scene("synthetic:24x24x16").cube, (2, 2, 1))[:40, :45]
    cube[5:19, 11:30] = np.nan
    np.save(tmp_path / "field.npy", cube)
    return tmp_path / "field.npy"


def maps_of(run: Run, stem: str) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in sorted(run.path.glob(f"{stem}*.npy"))}
    for path in run.path.glob(f"{stem}*.npy"):
        path.unlink()
    assert f"{stem}.npy" in found
    return found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("source", ["scene", "file", "file that is not seen"])
def test_a_cluster_draws_the_maps_of_this_machine(
    source: str,
    engine: str,
    copied: Callable[[], Run],
    field: Path,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if engine != "float":
        pytest.importorskip("numba")
    run, stem = copied(), "map" if source == "scene" else "map_field"
    for path in run.path.glob("map*"):
        path.unlink()
    options = ["--network", "snn_trained", *ENGINES[engine]]
    options += [] if source == "scene" else ["--cube", str(field)]
    main(["map", str(run.path), *options])
    expected = maps_of(run, stem)
    assert len(expected) == (1 if engine == "early exit" else 4)
    if source == "file that is not seen":
        monkeypatch.setattr("snnquant.inference.cube._is_in_state", lambda path, state: False)
    capsys.readouterr()
    main(["map", str(run.path), *options, "--scheduler", address])
    assert maps_of(run, stem) == expected
    said = capsys.readouterr().err
    assert ("its tiles are sent" in said) == (source == "file that is not seen")


def test_an_interrupted_map_resumes_on_a_cluster_or_here(
    copied: Callable[[], Run], field: Path, address: str
) -> None:
    run = copied()
    draw_map(run, file=field)
    expected = maps_of(run, "map_field")
    begun: list[int] = []

    def stop(stage: str, done: int, total: int, how: str) -> None:
        if done > total // 3:
            raise KeyboardInterrupt

    def note(stage: str, done: int, total: int, how: str) -> None:
        begun.append(done)

    for first, second in ((address, address), (address, None), (None, address)):
        with pytest.raises(KeyboardInterrupt):
            draw_map(replace(run, progress=stop), file=field, scheduler=first)
        begun.clear()
        draw_map(replace(run, progress=note), file=field, scheduler=second)
        assert maps_of(run, "map_field") == expected
        assert begun[-1] == 40 * 45
        assert second is None or begun[0] > 0


def test_a_worker_without_the_files_is_refused() -> None:
    cube = Cube("field.npy", (4, 4, 1), "", lambda: np.zeros((4, 4, 1)), visible=lambda: False)
    made = MadeMethod("key", lambda: pytest.fail("the method is not needed"))
    with pytest.raises(InputError, match=r"field\.npy: not seen by a worker"):
        read_and_compute(made, cube, [(range(4), range(4))], [np.zeros((4, 4), np.uint8)])


def test_a_mapped_cube_is_seen_until_it_changes(field: Path) -> None:
    cube = Cube.of_file(field)
    assert cube.visible is not None
    assert cube.visible()
    np.save(field, np.zeros((3, 3, 16)))
    assert not cube.visible()
    field.unlink()
    assert not cube.visible()
    assert Cube.of_array(np.zeros((3, 3, 1))).visible is None


def test_wrong_options_are_one_line(
    copied: Callable[[], Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied()
    for options, message in (
        (["--scheduler", "nowhere"], "--scheduler nowhere: "),
        (["--scheduler", "nowhere", "--device", "cuda"], "--device: found cuda beside --scheduler"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["map", str(run.path), *options])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err.splitlines()[-1]


def _kill_one(client_address: str, killed: list[int]) -> None:
    with distributed.Client(client_address, set_as_default=False) as client:
        pids = client.run(os.getpid)
        killed.append(min(pids.values()))
        os.kill(killed[0], signal.SIGKILL)


@pytest.mark.slow
def test_a_map_survives_a_killed_worker(copied: Callable[[], Run], field: Path) -> None:
    run = copied()
    draw_map(run, file=field)
    expected, killed = maps_of(run, "map_field"), list[int]()

    def kill(address: str, stage: str, done: int, total: int, how: str) -> None:
        if 0 < done < total // 2 and not killed:
            _kill_one(address, killed)

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        address = cluster.scheduler_address
        draw_map(replace(run, progress=partial(kill, address)), file=field, scheduler=address)
    assert len(killed) == 1
    assert maps_of(run, "map_field") == expected
