from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from snnquant.config import ModelConfig, RunConfig, TrainingConfig
from snnquant.pipeline import whole_run
from snnquant.pipeline.run import Run
from snnquant.report import RunMetrics

CONFIG = RunConfig(
    scene="synthetic:24x24x16",
    model=ModelConfig(name="cnn32h", widths=(2, 3, 4, 3), window=3),
    training=TrainingConfig(cnn_epochs=1, quantized_epochs=1, snn_epochs=1),
)


@pytest.fixture(scope="session")
def config() -> RunConfig:
    """Options of a run that takes a second."""
    return CONFIG


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunMetrics]:
    """A whole run, to be read and copied, never changed."""
    folder = tmp_path_factory.mktemp("pipeline") / "run"
    return folder, whole_run.run_all(Run.create(CONFIG, folder))


@pytest.fixture
def copied(finished: tuple[Path, RunMetrics], tmp_path: Path) -> Callable[[], Run]:
    """Open a copy of the finished run."""

    def build() -> Run:
        shutil.copytree(finished[0], tmp_path / "copy")
        return Run.open(tmp_path / "copy")

    return build
