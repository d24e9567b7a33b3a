"""Event files for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnquant.io import require_extra
from snnquant.training.resumable import Epoch
from snnquant.training.tracking import TRACKERS, Tracker, curves

FOLDER = "tensorboard"
"""Folder in that of the run."""


@TRACKERS.register("tensorboard")
class TensorBoard(Tracker):
    """Event files: curves in one folder per stage, options and scores in the folder above.

    Stages share the names of their curves, which TensorBoard draws into one chart.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        require_extra("tensorboard", "tensorboard")
        (self._library,) = require_extra("tensorboard", "torch.utils.tensorboard")
        self._options: dict[str, Any] = {}
        self._writers: dict[str, Any] = {}

    def options(self, values: Mapping[str, Any]) -> None:
        """Write the options as a table of text where they are new."""
        given = dict(values)
        if given != self._options:
            self._options = given
            rows = "".join(f"| {name} | {value} |\n" for name, value in given.items())
            self._of("").add_text("options", f"| option | value |\n|---|---|\n{rows}", 0)
            self._of("").flush()

    def epoch(self, row: Epoch) -> None:
        """Write the curves of a stage, on disk at once: a run may be killed."""
        writer = self._of(row.stage)
        for name, value in curves(row).items():
            writer.add_scalar(name, value, row.epoch)
        writer.flush()

    def scores(self, values: Mapping[str, float]) -> None:
        """Write scores as scalars at step 0, and with the options for the HParams page."""
        writer = self._of("")
        for name, value in values.items():
            writer.add_scalar(name, value, 0)
        options = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in self._options.items()
        }
        (summary,) = require_extra("tensorboard", "torch.utils.tensorboard.summary")
        for part in summary.hparams(options, dict(values)):
            writer.file_writer.add_summary(part)
        writer.flush()

    def close(self) -> None:
        """Close the event files."""
        for writer in self._writers.values():
            writer.close()

    def _of(self, stage: str) -> Any:
        if stage not in self._writers:
            place = str(self.folder / FOLDER / stage)
            # What the folder held before is void: a stage that resumes is told again from its
            # first epoch, and scores are written anew.
            self._writers[stage] = self._library.SummaryWriter(place, purge_step=0)
        return self._writers[stage]
