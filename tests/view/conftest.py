from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from snnquant.config import ModelConfig, RunConfig, TrainingConfig
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import draw_map
from snnquant.pipeline.stages import train_cnn
from snnquant.view.guard import Guard
from snnquant.view.pages import Pages
from snnquant.view.started_run import StartedRun

MakeOnce = Callable[[str, Callable[[Path], None]], Path]
PORT = 8765
PROGRAM = """
import sys
print(*sys.argv[1:], sep="\\n", file=sys.stderr, flush=True)
sys.stdin.read()
sys.exit(130)
"""
"""A stand-in for `snnquant`: it says its arguments and waits for its end."""


def _runs(folder: Path) -> None:
    config = RunConfig(
        scene="synthetic:24x24x16",
        model=ModelConfig(name="cnn32h", widths=(2, 2, 2, 2)),
        training=TrainingConfig(cnn_epochs=1),
    )
    run = Run.create(config, folder / "first")
    train_cnn(run)
    draw_map(run, "cnn_fp32")
    (run.path / "report.html").write_text("<p>a report</p>", encoding="utf-8")


@pytest.fixture
def runs(make_once: MakeOnce, tmp_path: Path) -> Path:
    """A folder with one run, "first", of a CNN with its map."""
    return shutil.copytree(make_once("runs to view", _runs), tmp_path / "runs")


@pytest.fixture
def guard() -> Guard:
    return Guard(PORT)


@pytest.fixture
def started() -> Iterator[StartedRun]:
    """Starts a stand-in for `snnquant run`."""
    with StartedRun((sys.executable, "-c", PROGRAM)) as found:
        yield found


@pytest.fixture
def client(runs: Path, guard: Guard, started: StartedRun) -> Client:
    return Client(Pages(runs, guard, started))
