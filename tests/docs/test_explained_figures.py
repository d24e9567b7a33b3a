"""The figures of docs/explained are those that today's code draws."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "explained"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
DIGEST = re.compile(r"\b[a-z]+[0-9a-f]{10}\b")
"""Names that matplotlib makes from the digits of what they name."""
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


def same(one: str, other: str) -> bool:
    """Say whether two drawings are one, up to a twentieth of a point."""
    one, other = DIGEST.sub("id", one), DIGEST.sub("id", other)
    if NUMBER.sub("", one) != NUMBER.sub("", other):
        return False
    numbers = [np.array(NUMBER.findall(text), float) for text in (one, other)]
    return np.allclose(*numbers, rtol=0, atol=0.05)


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
        assert same(text, drawn), f"docs/explained/{name} is out of date: run `make docs`"


def test_every_figure_is_on_a_page(script: ModuleType) -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md"))
    for make in script.FIGURES:
        assert f"]({make.__name__}.svg)" in pages


def test_moved_points_and_changed_texts_are_found() -> None:
    drawing = '<use x="1.25" href="#m0123456789"/><text>a</text>'
    assert same(drawing, drawing.replace("1.25", "1.26").replace("m01", "m99"))
    assert not same(drawing, drawing.replace("1.25", "1.35"))
    assert not same(drawing, drawing.replace(">a<", ">b<"))
