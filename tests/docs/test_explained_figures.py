"""The figures of docs/explained are those that today's code draws."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "explained"
CREATOR = re.compile(r"Matplotlib v([\d.]+)")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script docs/explained/draw.py as a module."""
    spec = spec_from_file_location("docs_explained_draw", FOLDER / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_are_up_to_date(script: ModuleType, tmp_path: Path) -> None:
    names = {f"{make.__name__}.svg" for make in script.FIGURES}
    assert names == {path.name for path in FOLDER.glob("*.svg")}
    stored = {name: (FOLDER / name).read_text(encoding="utf-8") for name in names}
    made_by = {found for text in stored.values() for found in CREATOR.findall(text)}
    if made_by != {version("matplotlib")}:
        pytest.skip(f"figures are of matplotlib {', '.join(made_by)}, which writes its own SVG")
    script.draw(tmp_path)
    for name, text in stored.items():
        drawn = (tmp_path / name).read_text(encoding="utf-8")
        assert script.same(text, drawn), f"docs/explained/{name} is out of date: run `make docs`"


def test_every_figure_is_on_a_page(script: ModuleType) -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md"))
    for make in script.FIGURES:
        assert f"]({make.__name__}.svg)" in pages


def test_moved_points_and_changed_texts_are_found(script: ModuleType) -> None:
    drawing = '<use x="1.25" href="#m0123456789"/><text>a</text>'
    assert script.same(drawing, drawing.replace("1.25", "1.26").replace("m01", "m99"))
    assert not script.same(drawing, drawing.replace("1.25", "1.35"))
    assert not script.same(drawing, drawing.replace(">a<", ">b<"))


def test_only_changed_figures_are_written(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "FIGURES", (script.chip,))
    path = tmp_path / "chip.svg"
    script.draw(tmp_path)
    drawn = path.read_text(encoding="utf-8")
    rounded = re.sub(r'(?<= x=")[\d.]+', lambda found: f"{float(found[0]) + 0.01}", drawn, count=1)
    assert rounded != drawn
    path.write_text(rounded, encoding="utf-8")
    script.draw(tmp_path)
    assert path.read_text(encoding="utf-8") == rounded
    path.write_text(drawn.replace("DRAM", "memory"), encoding="utf-8")
    script.draw(tmp_path)
    assert path.read_text(encoding="utf-8") == drawn
