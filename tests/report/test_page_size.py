"""Size of the page, and what it leaves out where a published figure does not belong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnquant.report import RunMetrics, write_html
from snnquant.report.page_pictures import LARGEST, PAGE_BYTES, step_of
from snnquant.report.run_record import RunRecord
from snnquant.scenes import Scene
from snnquant.scenes.georeference import Georeference

Write = Callable[..., str]


@pytest.fixture
def write(parts_of: Any, tmp_path: Path) -> Write:
    """Write the page of a scene and return its text."""

    def build(found: Scene, *, record: RunRecord | None = None, **changed: Any) -> str:
        views, metrics = parts_of(found)
        for part, values in changed.items():
            metrics[part] |= values
        write_html(RunMetrics.from_dict(metrics), tmp_path / "report.html", views, record)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return build


def smooth_cube(height: int, width: int, bands: int) -> Scene:
    """Make a scene of fields with noise in every value, as sensors have it."""
    draw = np.random.default_rng(0)
    labels = np.kron(
        draw.integers(0, 10, (-(-height // 16), -(-width // 16))), np.ones((16, 16), int)
    )
    labels = labels[:height, :width]
    spectra = draw.normal(3000, 400, (10, bands)).astype(np.float32)
    cube = spectra[labels] + draw.normal(0, 60, (height, width, bands)).astype(np.float32)
    return Scene.from_arrays(cube, labels)


@pytest.mark.slow
def test_a_scene_as_large_as_pavia_university_has_a_page_below_4_mb(write: Write) -> None:
    scene = smooth_cube(610, 340, 103)
    assert step_of(scene) == 1
    assert 1_000_000 < len(write(scene)) < PAGE_BYTES == 4_000_000


@pytest.mark.slow
def test_a_larger_scene_has_coarser_pictures_and_a_page_below_4_mb(write: Write) -> None:
    scene = smooth_cube(900, 800, 40)
    assert LARGEST < 900 * 800
    assert step_of(scene) == 2
    text = write(scene)
    assert len(text) < PAGE_BYTES
    assert "Pictures are those of one pixel in 2, in both directions." in text


def test_the_user_s_own_scene_has_no_column_of_the_paper(
    write: Write, synthetic_scene: Scene
) -> None:
    known = replace(synthetic_scene, name="indian_pines")
    assert "ACE-SNN" in write(known)
    own = write(known, scene={"own": True})
    assert "ACE-SNN" not in own
    assert len(own) < PAGE_BYTES


def test_an_imported_cnn_has_no_column_of_the_paper(write: Write, synthetic_scene: Scene) -> None:
    known = replace(synthetic_scene, name="indian_pines")
    text = write(known, model={"imported": True}, record=RunRecord(imported=True))
    assert "ACE-SNN" not in text
    assert "snnquant convert CNN_FILE --finetune --config config.toml" in text
    assert len(text) < PAGE_BYTES


def test_a_georeferenced_cube_has_its_place_on_a_page_below_4_mb(
    write: Write, synthetic_scene: Scene
) -> None:
    geo = Georeference(crs="EPSG:32632", transform=(30.0, 0.0, 5e5, 0.0, -30.0, 5.3e6))
    text = write(replace(synthetic_scene, geo=geo))
    assert '"transform":[30.0,0.0,500000.0,0.0,-30.0,5300000.0]' in text
    assert len(text) < PAGE_BYTES
