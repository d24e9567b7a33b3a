"""Tests of drawn training areas and of the runs that are started on them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image
from rasterio.features import rasterize
from werkzeug.test import Client, TestResponse

from snnquant.errors import InputError
from snnquant.scenes import Scene, load_scene
from snnquant.scenes.georeference import Georeference
from snnquant.view.drawn_areas import Area, covered, drawn_scene, read_areas, write_drawing
from snnquant.view.guard import Guard
from snnquant.view.new_run import MODELS
from snnquant.view.pages import Pages
from snnquant.view.started_run import StartedRun

HEADERS = {"Host": "127.0.0.1:8765", "Origin": "http://127.0.0.1:8765"}
LEFT = {"class": "Corn", "corners": [[0, 0], [24, 0], [24, 11], [0, 11]]}
RIGHT = {"class": "Oats <b>", "corners": [[2, 13.5], [20, 13.5], [20, 24], [2, 24]]}
ASKED = {
    "areas": [LEFT, RIGHT],
    "model": "cnn32h",
    "split": "random",
    "time_steps": 2,
    "cnn_epochs": 1,
    "snn_epochs": 1,
}


def _post(client: Client, guard: Guard, path: str, **given: Any) -> TestResponse:
    return client.post(f"/{guard.token}/{path}", json=given, headers=HEADERS)


def _status(client: Client, guard: Guard) -> dict[str, Any]:
    found = client.get(f"/{guard.token}/started", headers=HEADERS).json
    assert isinstance(found, dict)
    return found


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- areas ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_pixels_are_those_that_rasterio_covers(seed: int) -> None:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, (17, 23), (random.integers(3, 9), 2))
    area = Area("a", tuple((float(row), float(column)) for row, column in corners))
    ring = [[column, row] for row, column in (*area.corners, area.corners[0])]
    shape = {"type": "Polygon", "coordinates": [ring]}
    expected = rasterize([shape], (17, 23), fill=0, default_value=1)
    np.testing.assert_array_equal(covered(area, 17, 23), expected == 1)


def test_areas_that_share_a_side_share_no_pixel() -> None:
    left = covered(Area("a", ((0, 0), (0, 3.5), (9, 3.5), (9, 0))), 9, 9)
    right = covered(Area("b", ((0, 3.5), (0, 9), (9, 9), (9, 3.5))), 9, 9)
    assert (left ^ right).all()
    assert not (left & right).any()


@pytest.mark.parametrize(
    ("areas", "error"),
    [
        (None, "areas: expected a list of 1 to 500"),
        ([], "areas: expected a list"),
        ([LEFT] * 501, "areas: expected a list"),
        ([3], "area 1: class: expected a name"),
        ([LEFT | {"class": " "}], "area 1: class: expected a name of 1 to 60"),
        ([LEFT | {"class": "x" * 61}], "area 1: class"),
        ([LEFT | {"class": "a\u202eb"}], "area 1: class"),
        ([LEFT | {"corners": [[0, 0], [1, 1]]}], r"area 1 \(Corn\): expected three corners"),
        ([LEFT | {"corners": [[0, 0], [1, 1], [1]]}], "corner: expected a row and a column"),
        ([LEFT | {"corners": [[0, 0], [1, 1], [1, True]]}], "corner: expected a row"),
        ([LEFT | {"corners": [[0, 0], [1, 1], [1, float("nan")]]}], "corner: expected a row"),
        ([LEFT | {"corners": [[0, 0], [1, 1], [24.1, 1]]}], "found the corner 24.1, 1"),
        ([LEFT | {"corners": [[0, 0], [1, 1], [1, -1]]}], "found the corner 1, -1"),
        ([LEFT | {"corners": [[0, 0]] * 5001}], "areas: found 5001 corners, expected at most"),
        ([LEFT | {"class": f"c{k}"} for k in range(101)], "found 101 classes, expected at most"),
    ],
)
def test_wrong_areas_are_refused(areas: object, error: str) -> None:
    with pytest.raises(InputError, match=error):
        read_areas(areas, 24, 24)


def test_the_last_area_counts_and_gaps_stay_unlabelled() -> None:
    cube = np.ones((4, 4, 3))
    cube[0, 0] = np.nan
    scene = Scene.from_arrays(cube, np.eye(4, dtype=int))
    corners = [[0, 0], [0, 4], [4, 4], [4, 0]]
    given = [
        {"class": "Corn", "corners": corners},
        {"class": "Oats", "corners": [[2, 0], [2, 4], [4, 4], [4, 0]]},
        {"class": "CORN", "corners": [[3, 3], [3, 4], [4, 4], [4, 3]]},
    ]
    drawn = drawn_scene(scene, read_areas(given, 4, 4))
    assert drawn.class_names == ("Corn", "Oats")
    assert drawn.labels.tolist() == [[0, 1, 1, 1], [1, 1, 1, 1], [2, 2, 2, 2], [2, 2, 2, 1]]
    with pytest.raises(InputError, match="class Corn: found no pixel with data"):
        drawn_scene(scene, [Area("Corn", ((0, 0), (0, 1), (1, 1), (1, 0)))])


def test_a_large_cube_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnquant.view.drawn_areas.CUBE_BYTES", 100)
    scene = load_scene("synthetic:16x16x8")
    with pytest.raises(InputError, match=r"cube: found .* GB, expected at most"):
        drawn_scene(scene, read_areas([LEFT], 24, 24))


def test_geojson_has_the_place_of_the_cube(tmp_path: Path) -> None:
    geo = Georeference(crs="EPSG:32632", transform=(30.0, 0.0, 5e5, 0.0, -30.0, 5.3e6))
    scene = Scene.from_arrays(np.ones((4, 4, 3)), np.eye(4, dtype=int))
    object.__setattr__(scene, "geo", geo)
    areas = [Area("Corn", ((0, 0), (0, 1), (4, 1)))]
    drawn = drawn_scene(scene, areas)
    write_drawing(tmp_path, drawn, areas)
    (file,) = tmp_path.glob("drawn/*/areas.geojson")
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["crs"]["properties"]["name"] == "EPSG:32632"
    ((feature),) = found["features"]
    assert feature["properties"] == {"class": "Corn", "label": 1}
    ring = [[5e5, 5.3e6], [5e5 + 30, 5.3e6], [5e5 + 30, 5.3e6 - 120], [5e5, 5.3e6]]
    assert feature["geometry"]["coordinates"] == [ring]


# --- starting ------------------------------------------------------------------------------------


def test_a_drawing_is_written_and_its_run_started(client: Client, guard: Guard, runs: Path) -> None:
    before = _files(runs)
    answer = _post(client, guard, "start/first", **ASKED)
    assert answer.status_code == 200, answer.json
    assert answer.json is not None
    name = answer.json["name"]
    new = sorted(_files(runs) - before)
    assert [Path(file).name for file in new] == ["areas.geojson", "labels.png", "scene.npz"]
    (folder,) = (runs / "drawn").iterdir()
    drawn = Scene.load(folder / "scene.npz")
    assert drawn.class_names == ("Corn", "Oats <b>")
    assert (drawn.labels[:, :11] == 1).all()
    assert (drawn.labels[2:20, 13:] == 2).all()
    assert np.count_nonzero(drawn.labels) == 24 * 11 + 18 * 11
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "labels.png")), drawn.labels)
    np.testing.assert_array_equal(drawn.cube, load_scene("synthetic:24x24x16").cube)
    while not (status := _status(client, guard))["output"].endswith("--json\n"):
        assert status["state"] == "running"
    assert status["output"].split("\n")[:-1] == [
        *("run", "--scene", str(folder / "scene.npz"), "--output", str(runs / name)),
        *("--model", "cnn32h", "--split", "random", "--time-steps", "2"),
        *("--cnn-epochs", "1", "--snn-epochs", "1", "--json"),
    ]
    assert _post(client, guard, "stop").json == status | {"state": "stopped"}


def test_one_run_at_a_time(client: Client, guard: Guard, runs: Path) -> None:
    first = _post(client, guard, "start/first", **ASKED).json
    assert first is not None
    before = _files(runs)
    for path in ("start/first", "resume/first"):
        answer = _post(client, guard, path, **(ASKED | {"areas": [LEFT | {"class": "x"}, RIGHT]}))
        assert answer.status_code == 400
        assert f"run {first['name']} in progress" in answer.get_data(as_text=True)
    assert _files(runs) == before
    _post(client, guard, "stop")
    (runs / first["name"]).mkdir()
    second = _post(client, guard, "start/first", **ASKED).json
    assert second is not None
    assert second["name"] != first["name"]
    assert len(list((runs / "drawn").iterdir())) == 1


def test_a_run_is_resumed_and_linked(client: Client, guard: Guard, runs: Path) -> None:
    status = _post(client, guard, "resume/first").json
    assert status is not None
    assert status["name"] == "first"
    assert status["page"] == f"/{guard.token}/cube/first"
    assert client.get(status["report"], headers=HEADERS).data == b"<p>a report</p>"
    while not (found := _status(client, guard)["output"]).endswith("--json\n"):
        pass
    assert found.split("\n")[:-1] == ["run", "--resume", str(runs / "first"), "--json"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"model": "luo; rm"}, "model: expected one of cnn32h"),
        ({"model": ["cnn32h"]}, "model: expected one of"),
        ({"model": "li.onnx"}, "model: expected one of"),
        ({"split": "mask"}, "split: expected one of random, blocks"),
        ({"time_steps": 0}, "time_steps: expected a whole number, 1 to 32"),
        ({"cnn_epochs": "5"}, "cnn_epochs: expected a whole number"),
        ({"cnn_epochs": True}, "cnn_epochs: expected a whole number"),
        ({"snn_epochs": 10**9}, "snn_epochs: expected a whole number, 1 to 1000"),
        ({"areas": [LEFT]}, "found one class (Corn), expected two or more"),
        ({"areas": "x"}, "areas: expected a list"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    client: Client, guard: Guard, runs: Path, given: dict[str, Any], error: str
) -> None:
    before = _files(runs)
    answer = _post(client, guard, "start/first", **(ASKED | given))
    assert answer.status_code == 400
    assert answer.json is not None
    assert error in answer.json["error"]
    assert _files(runs) == before
    assert _status(client, guard)["state"] == "none"


def test_networks_without_a_spiking_form_are_not_offered(client: Client, guard: Guard) -> None:
    assert "cnn32h" in MODELS
    page = client.get(f"/{guard.token}/cube/first", headers=HEADERS).get_data(as_text=True)
    for model in MODELS:
        assert f"<option>{model}</option>" in page


def test_nothing_is_drawn_into_a_run(runs: Path, guard: Guard, started: StartedRun) -> None:
    client = Client(Pages(runs / "first", guard, started))
    before = _files(runs)
    page = client.get(f"/{guard.token}/cube/first", headers=HEADERS).get_data(as_text=True)
    assert "Serve the folder of runs" in page
    answer = _post(client, guard, "start/first", **ASKED)
    assert answer.status_code == 400
    assert _files(runs) == before


def test_a_link_outwards_is_not_followed(client: Client, guard: Guard, runs: Path) -> None:
    outside = runs.parent / "outside"
    outside.mkdir()
    (runs / "drawn").symlink_to(outside)
    answer = _post(client, guard, "start/first", **ASKED)
    assert answer.status_code == 400
    assert "found a link" in answer.get_data(as_text=True)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("path", ["start/first", "resume/first", "stop"])
def test_orders_need_the_token_and_the_origin(client: Client, guard: Guard, path: str) -> None:
    for token, headers in (
        (guard.token, HEADERS | {"Origin": "http://evil.example"}),
        (guard.token, {"Host": HEADERS["Host"]}),
        (guard.token, HEADERS | {"Host": "evil.example:8765"}),
        ("x" * 43, HEADERS),
    ):
        answer = client.post(f"/{token}/{path}", json=ASKED, headers=headers)
        assert answer.status_code == 403
    of_files = client.post(f"/{guard.file_token}/{path}", json=ASKED, headers=HEADERS)
    assert of_files.status_code in (404, 405)
    assert client.get(f"/{guard.token}/{path}", headers=HEADERS).status_code == 405
    assert _status(client, guard)["state"] == "none"


@pytest.mark.parametrize("run", ["..", "../other", "drawn", "%2e%2e%2fother", "none"])
def test_only_listed_runs_are_started_from(client: Client, guard: Guard, run: str) -> None:
    for order in ("start", "resume"):
        assert _post(client, guard, f"{order}/{run}", **ASKED).status_code == 404


# --- the process ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "state"),
    [("pass", "finished"), ("raise SystemExit(2)", "failed"), ("raise SystemExit(130)", "stopped")],
)
def test_a_run_that_ends_says_so(code: str, state: str) -> None:
    with StartedRun((sys.executable, "-c", code)) as started:
        assert started.status() == {"state": "none", "name": None, "output": ""}
        started.start("a")
        while started.status()["state"] == "running":
            time.sleep(0.01)
        assert started.status() == {"state": state, "name": "a", "output": ""}
        started.start("b")


def test_the_command_ends_by_itself_too() -> None:
    with StartedRun((sys.executable, "-P", "-m", "snnquant.cli.started_run")) as started:
        started.start("a", "models")
        while started.status()["state"] == "running":
            time.sleep(0.01)
        assert started.status() == {"state": "finished", "name": "a", "output": ""}


def test_only_the_end_of_the_output_is_shown() -> None:
    code = "import sys; sys.stderr.write('é' * 9000 + '\\x1b[31m\\nend\\n')"
    with StartedRun((sys.executable, "-c", code)) as started:
        started.start("a")
        while started.status()["state"] == "running":
            time.sleep(0.01)
        output = started.status()["output"]
    assert len(output.encode()) <= 4000 + 2
    assert output.endswith("é [31m\nend\n")


def test_a_run_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnquant.view.started_run.GRACE", 0.1)
    with StartedRun((sys.executable, "-c", "while True: pass")) as started:
        started.start("a")
        started.stop()
        assert started.status()["state"] == "stopped"


def _alive(command: str) -> list[int]:
    """Return the numbers of processes, still at work, with that text in their command."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if command in words and state != "Z":
            found.append(int(entry.name))
    return found


def _resume(run: Path) -> None:
    with StartedRun((sys.executable, "-P", "-m", "snnquant.cli.started_run")) as started:
        started.start("again", "run", "--resume", str(run), "--json")
        while "cnn: " not in started.status()["output"]:
            assert started.status()["state"] == "running", started.status()
            time.sleep(0.05)
        started.stop()
        assert started.status()["state"] == "stopped"
        assert "snnquant run --resume" in started.status()["output"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is missing")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_run_ends_with_the_server_and_resumes(runs: Path, end: signal.Signals) -> None:
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from snnquant.cli import main; main()"
    command = [sys.executable, "-c", code, "view", str(runs), "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            asked = json.dumps(ASKED | {"cnn_epochs": 1000}).encode()
            headers = {"Origin": address.rpartition("/")[0].rpartition("/")[0]}
            with urlopen(Request(f"{address}start/first", asked, headers), timeout=60) as answer:
                run = runs / json.loads(answer.read())["name"]
            while not list(run.glob("*.state.safetensors")):
                with urlopen(f"{address}started", timeout=60) as answer:
                    status = json.loads(answer.read())
                assert status["state"] == "running", status
                time.sleep(0.1)
            assert _alive(str(run))
            process.send_signal(end)
            process.wait(60)
        finally:
            process.kill()
    deadline = time.monotonic() + 60
    while _alive(str(run)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not (run / "metrics.json").exists()
    assert list(run.glob("cnn.state.safetensors"))
    if end is signal.SIGINT:
        _resume(run)
