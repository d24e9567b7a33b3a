"""Tests of the local page: the list, a cube, spectra, the classes of a rectangle, the command."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image
from werkzeug.test import Client, TestResponse

from snnquant.cli import main
from snnquant.io import write_json
from snnquant.report import RunMetrics
from snnquant.report.run_metrics import ModelMetrics, NetworkMetrics, SceneMetrics, SplitMetrics
from snnquant.scenes import load_scene
from snnquant.stored_networks import Network
from snnquant.view.guard import Guard
from snnquant.view.pages import Pages
from snnquant.view.started_run import StartedRun

HEADERS = {"Host": "127.0.0.1:8765", "Origin": "http://127.0.0.1:8765"}
WHOLE = {"network": "cnn_fp32", "top": 0, "bottom": 24, "left": 0, "right": 24}
METRICS = RunMetrics(
    run="runs/first",
    seed=0,
    networks={Network.CNN_FP32: NetworkMetrics(0.98765, 0.8, 0.7, [0.8, 0.8], parameters=99)},
    scene=SceneMetrics("synthetic:24x24x16", (24, 24, 16), 250, ("Corn", "Oats")),
    model=ModelMetrics("cnn32h", 5, 5, 6, ()),
    split=SplitMetrics("blocks", 0, 90, 10, 150, leakage=0.0, coordinates_only_oa=0.6),
    energy_pj={"horowitz": {"cnn_fp32": 12345.0}},
)


def _get(client: Client, guard: Guard, path: str) -> TestResponse:
    return client.get(f"/{guard.token}/{path}", headers=HEADERS)


def _classes(client: Client, guard: Guard, **given: Any) -> TestResponse:
    return client.post(f"/{guard.token}/classes/first", json=WHOLE | given, headers=HEADERS)


# --- the list ------------------------------------------------------------------------------------


def test_the_list_has_scores_and_files(client: Client, guard: Guard, runs: Path) -> None:
    write_json(runs / "first/metrics.json", METRICS.to_dict())
    text = _get(client, guard, "").get_data(as_text=True)
    for shown in (">first<", "synthetic:24x24x16", "cnn_fp32", "blocks", ">98.77<", ">12.3<"):
        assert shown in text, shown
    for file in ("report.html", "map.png", "map_and_truth.png", "map_confidence.png"):
        answer = client.get(f"/{guard.file_token}/first/{file}", headers=HEADERS)
        assert f"/{guard.file_token}/first/{file}" in text
        assert answer.data == (runs / "first" / file).read_bytes()


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"schema": 1}', "[" * 100_000])
def test_a_run_without_readable_metrics_is_listed(
    client: Client, guard: Guard, runs: Path, content: str | None
) -> None:
    if content is not None:
        (runs / "first/metrics.json").write_text(content, encoding="utf-8")
    assert "cube/first" in _get(client, guard, "").get_data(as_text=True)


def test_names_are_escaped(client: Client, guard: Guard, runs: Path) -> None:
    name = "<b>'\"&?#%2e ü"
    (runs / "first").rename(runs / name)
    text = _get(client, guard, "").get_data(as_text=True)
    assert "<b>" not in text
    (address,) = re.findall(r'href="(/[^"]*/cube/[^"]*)"', text)
    page = client.get(address, headers=HEADERS)
    assert page.status_code == 200
    assert "<b>" not in page.get_data(as_text=True)


def test_runs_in_folders_and_a_run_of_its_own(runs: Path, started: StartedRun) -> None:
    (runs / "deep").mkdir()
    (runs / "first").rename(runs / "deep/first")
    for folder, name in ((runs, "deep/first"), (runs / "deep/first", "first")):
        guard = Guard(8765)
        client = Client(Pages(folder, guard, started))
        assert f"cube/{name}" in _get(client, guard, "").get_data(as_text=True)
        assert _get(client, guard, f"cube/{name}").status_code == 200


def test_a_name_that_is_no_text_is_left_out(client: Client, guard: Guard, runs: Path) -> None:
    shutil.copytree(runs / "first", runs / "odd\udce9")
    answer = _get(client, guard, "")
    assert answer.status_code == 200
    assert answer.get_data(as_text=True).count("/cube/") == 1


def test_an_empty_folder_says_so(tmp_path: Path, started: StartedRun) -> None:
    guard = Guard(8765)
    text = _get(Client(Pages(tmp_path, guard, started)), guard, "").get_data(as_text=True)
    assert "No run in this folder" in text


# --- a cube --------------------------------------------------------------------------------------


def test_a_cube_loads_its_picture_and_only_own_addresses(client: Client, guard: Guard) -> None:
    answer = _get(client, guard, "cube/first")
    text = answer.get_data(as_text=True)
    (nonce,) = re.findall(r"'nonce-([\w-]+)'", answer.headers["Content-Security-Policy"])
    assert re.findall(r"<script[^>]*>", text) == [
        f'<script nonce="{nonce}" src="/{guard.token}/{name}.js" defer>'
        for name in ("view", "draw")
    ]
    assert not re.search(r"\son\w+=|\sstyle=|javascript:|https?:", text)
    addresses = re.findall(r'(?:src|href)="(/[^"]+)"', text)
    assert len(addresses) == 5
    for address in addresses:
        path = address.replace("&amp;", "&")
        assert client.get(path, headers=HEADERS).status_code == 200, address


def test_a_nonce_serves_one_answer(client: Client, guard: Guard) -> None:
    policies = {_get(client, guard, "").headers["Content-Security-Policy"] for _ in range(3)}
    assert len(policies) == 3


def test_false_colours_are_the_bands(client: Client, guard: Guard) -> None:
    answer = _get(client, guard, "bands/first?red=3&green=0&blue=15")
    picture = np.asarray(Image.open(BytesIO(answer.data)))
    cube = load_scene("synthetic:24x24x16").cube
    for channel, band in enumerate((3, 0, 15)):
        low, high = np.percentile(cube[..., band], (2, 98))
        expected = ((cube[..., band] - low) / (high - low)).clip(0, 1) * 255
        assert np.abs(picture[..., channel] - expected).max() <= 1.01


def test_a_spectrum_is_the_pixel(client: Client, guard: Guard) -> None:
    scene = load_scene("synthetic:24x24x16")
    row, column = np.argwhere(scene.labels > 0)[7].tolist()
    found = _get(client, guard, f"spectrum/first?row={row}&column={column}").json
    assert found is not None
    assert found["values"] == scene.cube[row, column].tolist()
    assert found["label"] == scene.class_names[scene.labels[row, column] - 1]
    assert found["has_data"] is True


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("spectrum/first?row=24&column=0", "row: found 24, expected 0 to 23"),
        ("spectrum/first?row=0&column=-1", "column: found -1, expected 0 to 23"),
        ("spectrum/first?row=x&column=0", "row: expected a whole number"),
        ("spectrum/first", "row: expected a whole number"),
        ("bands/first?red=0&green=0&blue=16", "band: found 16, expected 0 to 15"),
        ("bands/first?red=0&green=0&blue=" + 5000 * "9", "blue: expected a whole number"),
    ],
)
def test_wrong_numbers_are_refused(client: Client, guard: Guard, path: str, error: str) -> None:
    answer = _get(client, guard, path)
    assert (answer.status_code, answer.json) == (400, {"error": error})


def test_a_damaged_run_is_refused_in_one_line(client: Client, guard: Guard, runs: Path) -> None:
    (runs / "first/config.toml").write_text("scene = [", encoding="utf-8")
    answer = _get(client, guard, "cube/first")
    assert answer.status_code == 400
    assert "config.toml" in answer.get_data(as_text=True)


# --- classes of a rectangle ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "sides", [(0, 24, 0, 24), (5, 9, 11, 20), (0, 1, 0, 1), (23, 24, 20, 24), (10, 11, 0, 24)]
)
def test_classes_are_those_of_the_map(
    client: Client, guard: Guard, runs: Path, sides: tuple[int, int, int, int]
) -> None:
    top, bottom, left, right = sides
    answer = _classes(client, guard, top=top, bottom=bottom, left=left, right=right)
    assert answer.json is not None
    found = np.array(answer.json["classes"])
    np.testing.assert_array_equal(found, np.load(runs / "first/map.npy")[top:bottom, left:right])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"bottom": 25}, "rows: found 0 to 25, expected 0 to 24"),
        ({"left": -1}, "columns: found -1 to 24, expected 0 to 24"),
        ({"top": 5, "bottom": 5}, "rows: found 5 to 5"),
        ({"top": None}, "top: expected a whole number"),
        ({"top": float("inf")}, "top: expected a whole number"),
        ({"network": "../cnn"}, "network: found '../cnn', expected one of"),
        ({"network": 3}, "network: expected the key of a network"),
        ({"network": "snn_trained"}, "no such file, expected the result of an earlier stage"),
    ],
)
def test_a_wrong_rectangle_is_refused(
    client: Client, guard: Guard, given: dict[str, Any], error: str
) -> None:
    answer = _classes(client, guard, **given)
    assert answer.status_code == 400
    assert answer.json is not None
    assert error in answer.json["error"]


@pytest.mark.parametrize("body", [b" ", b"[]", b"\xff", b"[" * 60_000, b"3"])
def test_a_body_that_is_no_object_is_refused(client: Client, guard: Guard, body: bytes) -> None:
    answer = client.post(f"/{guard.token}/classes/first", data=body, headers=HEADERS)
    assert answer.status_code == 400


def test_a_large_rectangle_is_refused(
    client: Client, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snnquant.view.opened_run.PIXELS", 575)
    answer = _classes(client, guard)
    assert answer.status_code == 400
    assert "found 24 x 24 pixels, expected at most 575" in answer.get_data(as_text=True)


def test_nothing_is_written(client: Client, guard: Guard, runs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    (runs / "first/split.npz").unlink()
    del before[runs / "first/split.npz"]
    for path in ("", "cube/first", "spectrum/first?row=0&column=0"):
        assert _get(client, guard, path).status_code == 200
    assert _classes(client, guard).status_code == 200
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("*") if p.is_file()} == {
        p: time for p, time in before.items() if p.is_file()
    }


def test_a_changed_network_is_read_anew(client: Client, guard: Guard, runs: Path) -> None:
    assert _classes(client, guard).status_code == 200
    (runs / "first/cnn.safetensors").write_bytes(b"damaged")
    assert _classes(client, guard).status_code == 400


# --- the command ---------------------------------------------------------------------------------


def test_the_command_serves_until_ctrl_c(runs: Path) -> None:
    # A process that was started in the background ignores Ctrl-C, and so do those that it starts.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from snnquant.cli import main; main()"
    command = [sys.executable, "-c", code, "view", str(runs), "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", address)
            with urlopen(address, timeout=60) as answer:
                assert b"cube/first" in answer.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
        assert process.stdout.read() + process.stderr.read() == ""
    token = address.split("/")[3]
    assert not any(token.encode() in p.read_bytes() for p in runs.rglob("*") if p.is_file())


def test_the_browser_gets_an_address_that_only_the_user_can_read(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snnquant.view import opened_browser

    guard, opened = Guard(8765), []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with opened_browser(guard):
        while not opened:
            pass
        page = Path(opened[0].removeprefix("file://"))
        assert page.stat().st_mode & 0o077 == page.parent.stat().st_mode & 0o077 == 0
        assert f"http://127.0.0.1:8765/{guard.once}" in page.read_text(encoding="utf-8")
        assert guard.token not in page.read_text(encoding="utf-8")
    assert not page.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["missing"], "missing: no such folder, expected a folder of runs"),
        ([".", "--port", "70000"], "--port: found 70000, expected 0 to 65535"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["view", *arguments])
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err) == (2, "", f"snnquant: {error}\n")


def test_a_missing_extra_is_one_line(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "werkzeug", None)
    with pytest.raises(SystemExit) as stop:
        main(["view", str(runs)])
    assert stop.value.code == 2
    assert "pip install 'snnquant[view]'" in capsys.readouterr().err
