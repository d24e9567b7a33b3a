"""Smoothing and confidence in tables and pictures."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from snnquant.report import RunMetrics, print_table, write_html, write_values
from snnquant.stored_networks import Network

CALIBRATION: dict[str, Any] = {
    "temperature": 1.31,
    "ece": 0.0412,
    "ece_uncalibrated": 0.1234,
    "ece_smoothed": 0.0523,
    "sigma": 2.0,
    "temperature_smoothed": 0.7,
    "selective": [{"coverage": k / 10, "accuracy": 0.99 - k / 1000} for k in range(1, 11)],
}
UNKNOWN = {"wanted_accuracy": 0.95, "below": 0.8, "coverage": 0.7654, "accuracy": 0.9432}


@pytest.fixture
def smoothed(metrics: dict[str, Any]) -> dict[str, Any]:
    for number, name in enumerate(Network):
        metrics[name]["smoothed"] = {"oa": 0.9321 - 0.01 * number, "aa": 0.9, "kappa": 0.9}
    metrics["calibration"] = {name.value: dict(CALIBRATION) for name in Network}
    return metrics


def printed(metrics: dict[str, Any]) -> str:
    stream = io.StringIO()
    print_table(RunMetrics.from_dict(metrics), Console(file=stream))
    return stream.getvalue()


def row(text: str, label: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.strip().startswith(label))
    return line.strip().removeprefix(label).split()


def test_both_accuracies_and_every_error_stand_under_their_network(smoothed) -> None:
    smoothed["calibration"]["snn_trained"]["sigma"] = 0.5
    text = printed(smoothed)
    networks = len(Network)
    assert row(text, "OA smoothed, %") == ["93.21", "92.21", "91.21", "89.21", "-"]
    assert "90.21" in row(text, "SNN as converted")
    assert row(text, "smoothing, sigma in pixels") == [*["2"] * (networks - 1), "0.5"]
    assert row(text, "ECE, %") == ["4.12"] * networks
    assert row(text, "ECE at temperature 1, %") == ["12.34"] * networks
    assert row(text, "ECE smoothed, %") == ["5.23"] * networks
    assert row(text, "OA smoothed, most certain 50 %, %") == ["98.50"] * networks
    assert "known pixels" not in text


def test_unknown_pixels_have_rows_where_they_were_asked_for(smoothed) -> None:
    smoothed["calibration"]["snn_trained"]["unknown"] = UNKNOWN
    text = printed(smoothed)
    assert row(text, "known pixels, %") == [*["-"] * (len(Network) - 1), "76.54"]
    assert row(text, "OA of known pixels, % (95.00 on validation)")[-2:] == ["-", "94.32"]


def test_files_of_before_have_neither(metrics) -> None:
    text = printed(metrics)
    assert "smoothed" not in text
    assert "Confidence" not in text


def test_the_page_has_the_maps_in_their_order(views, scene_metrics, tmp_path) -> None:
    write_html(RunMetrics.from_dict(scene_metrics), tmp_path / "report.html", views)
    page = (tmp_path / "report.html").read_text()
    keys = ("main", "truth", "cnn", "smoothed", "known", "colour", "errors", "split")
    places = [page.find(f'id="picture-{key}"') for key in (*keys, "confidence", "steps")]
    places.append(page.find('id="picture-distance"'))
    assert min(places) > 0
    assert places == sorted(places)
    write_html(RunMetrics.from_dict(scene_metrics), tmp_path / "bare.html")
    assert "<img" not in (tmp_path / "bare.html").read_text()


def test_numbers_keep_their_values_and_have_brighter_colours_where_larger(tmp_path) -> None:
    values = np.linspace(0, 2, 12, dtype=np.float32).reshape(3, 4)
    known = values != values[0, 1]
    picture, array = write_values(tmp_path / "map", values, known, "a number", (0, 1))
    np.testing.assert_array_equal(np.load(array), values)
    image = Image.open(picture).convert("RGB")
    scale = 360 // 4
    centres = [
        [
            image.getpixel((16 + scale * c + scale // 2, 22 + scale * r + scale // 2))
            for c in range(4)
        ]
        for r in range(3)
    ]
    assert centres[0][0] == (0x44, 0x01, 0x54)
    assert centres[0][1] == (0, 0, 0)
    assert centres[2] == [(0xFD, 0xE7, 0x25)] * 4
    assert sum(centres[0][2]) < sum(centres[1][0])


def test_a_large_map_has_a_smaller_picture(tmp_path) -> None:
    values = np.zeros((3, 5000), np.float32)
    picture, _ = write_values(tmp_path / "map", values, values == 0, "a number", (0, 1))
    assert Image.open(picture).width < 2048
