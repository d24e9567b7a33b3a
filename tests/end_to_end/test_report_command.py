"""`snnquant report`, and the page that other subcommands write anew."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command, Finished

pytestmark = pytest.mark.slow


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def data_of(folder: Path) -> dict[str, object]:
    found = re.search(r'id="page-data">(.*?)</script>', page_of(folder))
    assert found is not None
    data: dict[str, object] = json.loads(found[1])
    return data


def test_it_writes_the_same_page_again(copy: Path, snnquant: Command, finished: Finished) -> None:
    (copy / "report.html").unlink()
    outcome = snnquant("report", copy)
    assert (outcome.code, outcome.out) == (0, f"{copy / 'report.html'}\n")
    assert page_of(copy) == page_of(finished.folder)


def test_it_shows_map_spectra_and_spikes_of_the_trained_snn(finished: Finished) -> None:
    data, page = data_of(finished.folder), page_of(finished.folder)
    keys = [picture["key"] for picture in data["pictures"]]  # type: ignore[attr-defined]
    assert keys[:3] == ["main", "truth", "cnn"]
    assert {"colour", "errors", "split", "confidence", "distance"} <= set(keys)
    assert data["main"] == "SNN trained"
    tested = [
        accuracy is not None for accuracy in finished.metrics["snn_trained"]["class_accuracy"]
    ]
    assert page.count("Spikes of a pixel of") == sum(tested) > 1
    for section in ("answer", "map", "classes", "spikes", "energy", "training", "repeat"):
        assert f'<section id="{section}">' in page


def test_map_and_evaluate_write_it_anew(copy: Path, snnquant: Command) -> None:
    for arguments in (("map", copy), ("evaluate", copy)):
        (copy / "report.html").write_text("older")
        assert snnquant(*arguments).code == 0
        assert "<h2>Answer</h2>" in page_of(copy)


def test_a_map_of_a_run_without_scores_leaves_no_page(copy: Path, snnquant: Command) -> None:
    for name in ("report.html", "metrics.json"):
        (copy / name).unlink()
    assert snnquant("map", copy).code == 0
    assert not (copy / "report.html").exists()


def test_a_run_without_scores_is_refused(copy: Path, snnquant: Command) -> None:
    (copy / "metrics.json").unlink()
    outcome = snnquant("report", copy)
    assert outcome.code == 2
    found = "no such file, expected the scores of `snnquant evaluate`"
    assert f"{copy / 'metrics.json'}: {found}" in outcome.err


@pytest.mark.parametrize("content", ["[]", "{", '{"schema": 0}'])
def test_damaged_scores_are_refused(copy: Path, snnquant: Command, content: str) -> None:
    (copy / "metrics.json").write_text(content)
    outcome = snnquant("report", copy)
    assert outcome.code == 2
    assert "metrics" in outcome.err


def test_a_folder_of_before_has_a_page_with_what_it_holds(copy: Path, snnquant: Command) -> None:
    metrics = json.loads((copy / "metrics.json").read_text())
    for key in ("rival", "calibration", "controls", "map_energy_pj", "map_effort", "cnn_twin"):
        metrics.pop(key, None)
    for network in ("cnn_fp32", "cnn_quantized", "snn_converted", "snn_trained"):
        for key in ("confusion", "smoothed"):
            metrics[network].pop(key, None)
    (copy / "metrics.json").write_text(json.dumps(metrics))
    for name in ("cnn_twin.safetensors", "history.csv", "confidence.json", "map_distance.npy"):
        (copy / name).unlink()
    outcome = snnquant("report", copy)
    assert outcome.code == 0, outcome.err
    page = page_of(copy)
    assert "CNN twin" not in page
    assert f"{100 * metrics['snn_trained']['oa']:.2f} %" in page
    assert "compute only, without memory" in page
    assert '<section id="training">' not in page


def test_a_run_with_only_a_cnn_has_its_map(
    snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "cnn"
    assert snnquant("train", *quick, "--bits", 32, "--output", folder).code == 0
    page, data = page_of(folder), data_of(folder)
    assert data["main"] == "CNN 32-bit"
    assert "Overall accuracy of the CNN" in page
    assert '<section id="spikes">' not in page


def test_damaged_companions_are_left_out(copy: Path, snnquant: Command) -> None:
    (copy / "map_distance.npy").write_bytes(b"\x93NUMPY nonsense")
    (copy / "history.csv").write_text("stage,epoch\ncnn,zero\n")
    outcome = snnquant("report", copy)
    assert outcome.code == 0, outcome.err
    assert 'id="picture-distance"' not in page_of(copy)
    assert '<section id="training">' not in page_of(copy)


def test_an_imported_cnn_has_its_page(
    snnquant: Command, finished: Finished, tmp_path: Path
) -> None:
    cnn, folder = finished.folder / "cnn.safetensors", tmp_path / "imported"
    scene = ("--scene", "synthetic:24x24x16", "--widths", "8", "8", "--output", folder)
    outcome = snnquant("convert", cnn, *scene)
    assert outcome.code == 0, outcome.err
    page = page_of(folder)
    assert data_of(folder)["main"] == "SNN as converted"
    assert "Overall accuracy of the SNN" in page
    assert ("snnquant convert CNN_FILE" in page) == (folder / "key_map.json").exists()
