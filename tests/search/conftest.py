"""A tiny search: six candidates of one CNN in two rungs, a second or two on one core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from snnquant.config import ConversionConfig, ModelConfig, RunConfig, SplitConfig, TrainingConfig
from snnquant.scenes import Scene, load_scene
from snnquant.search import Front, Search, Space, make_space, search
from snnquant.search.stepwise import accepted

if TYPE_CHECKING:
    from tests.conftest import MakeOnce

BASE = RunConfig(
    scene="synthetic:24x24x16",
    split=SplitConfig(refit=False),
    model=ModelConfig(name="cnn32h", widths=(2, 2, 2, 2)),
    conversion=ConversionConfig(calibration="maximum"),  # the fastest
    training=TrainingConfig(cnn_epochs=2, snn_epochs=2, learning_rate=0.02),
)
SETTINGS = Search(rungs=2, reduction=2)
SearchIn = Callable[[Path], Front]


@pytest.fixture(scope="session")
def base() -> RunConfig:
    return BASE


@pytest.fixture(scope="session")
def scene() -> Scene:
    return load_scene(BASE.scene)


@pytest.fixture(scope="session")
def space(scene: Scene) -> Space:
    axes = {"time_steps": (1, 2, 3), "bits": (3, 6), "schedule": ("best", "dense")}
    return make_space(BASE, axes, 10, lambda config: accepted(config, scene))


@pytest.fixture(scope="session")
def search_in(space: Space, scene: Scene) -> SearchIn:
    """Search in a folder, in this process."""
    return lambda folder: search(space, scene, folder, SETTINGS, processes=1)


@pytest.fixture(scope="session")
def unbroken(make_once: MakeOnce, search_in: SearchIn) -> Path:
    """A finished search, to be read, never changed."""
    return make_once("search", lambda folder: search_in(folder / "all") and None) / "all"


@pytest.fixture(scope="session")
def results() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a search, to be compared bit for bit with another's, without durations."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b"ALL")
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "record.json"
        }

    return read
