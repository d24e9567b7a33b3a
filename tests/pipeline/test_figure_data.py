"""`snnquant figure`: figures at the size in print, as vectors with their fonts, or pictures."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from snnquant.cli import main
from snnquant.cli.figure import NAMES
from snnquant.pipeline.figure_data import figure_data
from snnquant.pipeline.run import Run
from snnquant.report import RunMetrics
from snnquant.report.paper_figures import FIGURES, write_figure
from snnquant.stored_networks import Network

Finished = tuple[Path, RunMetrics]
Draw = Callable[..., dict[str, Path]]


@pytest.fixture
def draw(finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Draw:
    def call(*options: str) -> dict[str, Path]:
        main(["figure", str(finished[0]), "--output", str(tmp_path / "figures"), *options])
        files = [Path(line) for line in capsys.readouterr().out.splitlines()]
        assert sorted(files) == sorted((tmp_path / "figures").iterdir())
        return {file.stem: file for file in files}

    return call


def test_the_command_offers_every_figure() -> None:
    assert tuple(FIGURES) == NAMES


def test_pictures_have_the_width_in_print(draw: Draw) -> None:
    files = draw("--format", "png", "--dpi", "100", "--width", "12.7cm")
    assert tuple(files) == NAMES
    for file in files.values():
        with Image.open(file) as picture:
            assert picture.width == 500
            assert picture.height > 100
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 3


@pytest.mark.parametrize("width_cm", [7.0, 17.5])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_at_the_edge(
    finished: Finished, tmp_path: Path, name: str, width_cm: float
) -> None:
    data = figure_data(Run.open(finished[0]), Network.SNN_TRAINED)
    long = tuple(f"{name}, a class of a long name" for name in data.scene.class_names)
    named = replace(data, scene=replace(data.scene, class_names=long))
    write_figure(name, named, tmp_path / "f.png", "png", dpi=100, width_cm=width_cm)
    with Image.open(tmp_path / "f.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() > 200


def test_pdf_files_have_the_width_and_their_fonts(draw: Draw) -> None:
    files = draw("--what", "map,confusion,energy", "--width", "85mm")
    assert list(files) == ["map", "confusion", "energy"]
    for file in files.values():
        content = file.read_bytes()
        (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
        assert float(box[0]) == pytest.approx(85 / 25.4 * 72, abs=0.01)
        assert b"/FontFile2" in content  # TrueType, embedded
        assert b"/Type3" not in content


def test_svg_files_have_the_width_and_need_no_font(draw: Draw) -> None:
    files = draw("--what", "spectra, energy", "--format", "svg", "--width", "4in")
    for file in files.values():
        root = ElementTree.parse(file).getroot()
        assert root.attrib["width"] == "288pt"
        assert not list(root.iter("{http://www.w3.org/2000/svg}text"))
        assert not re.findall(r'(?:href|src)="(?!#|data:)', file.read_text(encoding="utf-8"))


def test_axes_name_their_units(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    # Text stays text in an SVG file for this test, to be read.
    monkeypatch.setitem(sys.modules["snnquant.report.paper_figures"].STYLE, "svg.fonttype", "none")
    before = dict(matplotlib.rcParams)
    files = draw("--format", "svg")
    assert dict(matplotlib.rcParams) == before  # a program's own settings stay
    text = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    assert "column (pixels)" in text["map"]
    assert "row (pixels)" in text["errors"]
    assert "share of the true class (%)" in text["confusion"]
    assert "(units of the cube)" in text["spectra"]
    assert "wavelength (nm)" in text["spectra"]
    assert "energy (nJ per pixel)" in text["energy"]
    assert "chip edge_22nm" in text["energy"]


def test_the_same_run_gives_the_same_file(draw: Draw) -> None:
    first = draw("--what", "energy", "--format", "pdf")["energy"].read_bytes()
    assert draw("--what", "energy", "--format", "pdf")["energy"].read_bytes() == first
    assert zlib.crc32(first)


def test_the_map_has_the_colours_of_the_card(finished: Finished) -> None:
    run = Run.open(finished[0])
    data = figure_data(run, Network.SNN_TRAINED)
    classes = data.classify_scene()
    assert classes.shape == run.scene.labels.shape
    assert np.unique(classes).tolist()[0] >= 1
    stored = np.load(finished[0] / "map.npy")
    assert (classes == stored).mean() > 0.99
    assert (data.answers == classes.reshape(-1)[data.test] - 1).mean() > 0.99
    oa = finished[1].networks[Network.SNN_TRAINED].oa
    assert (data.answers == data.truth).mean() == pytest.approx(oa)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--what", "map,colour"), "--what: found 'colour', expected some of map, errors"),
        (("--what", ""), "--what: found ''"),
        (("--width", "8.5"), "--width: found 8.5, expected 5cm to 60cm"),
        (("--width", "900cm"), "--width: found 900cm"),
        (("--width", "nancm"), "--width: found nancm"),
        (("--dpi", "0"), "--dpi: found 0, expected 50 to 2400"),
        (("--format", "gif"), "gif"),
    ],
)
def test_wrong_input_is_refused(
    finished: Finished,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["figure", str(finished[0]), *options])
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert not (finished[0] / "figures").exists()


def test_without_matplotlib_it_names_the_extra(
    finished: Finished, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit) as stop:
        main(["figure", str(finished[0])])
    assert stop.value.code == 2
    assert "pip install 'snnquant[figures]'" in capsys.readouterr().err
