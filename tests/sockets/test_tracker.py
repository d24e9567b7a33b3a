"""A tracker outside of the package: one file, and `--track` knows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PLUGIN = """
import json

from snnquant.training import TRACKERS, Tracker


@TRACKERS.register("lines")
class Lines(Tracker):
    def _write(self, **line):
        with (self.folder / "lines.json").open("a") as file:
            file.write(json.dumps(line) + "\\n")

    def options(self, values):
        self._write(seed=values["seed"])

    def epoch(self, row):
        self._write(stage=row.stage, epoch=row.epoch, loss=row.loss)

    def scores(self, values):
        self._write(oa=values["cnn_fp32/oa"], pj=values["cnn_fp32/energy_pj/horowitz"])

    def close(self):
        self._write(closed=True)
"""


def test_a_run_tells_a_plugin_its_options_epochs_and_scores(tmp_path: Path) -> None:
    (tmp_path / "lines.py").write_text(PLUGIN, encoding="utf-8")
    run = tmp_path / "run"
    options = (
        "--scene",
        "synthetic:24x24x16",
        "--model",
        "cnn32h",
        "--widths",
        "2",
        "2",
        "2",
        "2",
        "--seed",
        "7",
    )
    result = subprocess.run(
        [
            *(sys.executable, "-c", "from snnquant.cli import main; main()", "train", *options),
            *("--cnn-epochs", "2", "--bits", "32", "--output", str(run), "--track", "lines"),
        ],
        env={**os.environ, "SNNQUANT_PLUGINS": str(tmp_path / "lines.py")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in (run / "lines.json").read_text().splitlines()]
    assert lines[0] == lines[3] == {"seed": 7}
    assert [(row["stage"], row["epoch"]) for row in lines[1:3]] == [("cnn", 0), ("cnn", 1)]
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    pj = metrics["energy_pj"]["horowitz"]["cnn_fp32"]
    assert lines[4] == {"oa": metrics["cnn_fp32"]["oa"], "pj": pj}
    assert lines[5:] == [{"closed": True}]


def test_an_unknown_tracker_is_refused_before_training(tmp_path: Path) -> None:
    command = ("train", "--scene", "synthetic:24x24x16", "--track", "x")
    result = subprocess.run(
        [sys.executable, "-c", "from snnquant.cli import main; main()", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert result.returncode == 2
    assert result.stderr.startswith("snnquant: --track: found 'x', expected one of ")
    assert list(tmp_path.iterdir()) == []
