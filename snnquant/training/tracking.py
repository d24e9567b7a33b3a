"""Trackers: writers of a run's curves and scores for other programs, in a registry by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pim_sim.registry import Registry
from snnquant.training.resumable import Epoch


class Tracker(ABC):
    """Writer of one run for another program; subclasses are registered in `TRACKERS`.

    An interrupted run that resumes has a new tracker, which is told again the epochs of the stage
    that resumes: whatever it has written already, it must not write twice.

    >>> from snnquant.training.tracking import Tracker
    >>> class Printer(Tracker):
    ...     def options(self, values):
    ...         print(values["seed"])
    ...     def epoch(self, row):
    ...         print(row.stage, row.epoch, row.loss)
    ...     def scores(self, values):
    ...         print(values)
    >>> Printer(Path("run")).epoch(Epoch("cnn", 0, 1.5, 0.25, 1.75))
    cnn 0 1.5
    """

    def __init__(self, folder: Path) -> None:
        """Prepare the writer without writing; `folder` is that of the run.

        Raises:
            InputError: Subclasses whose extra is missing.
        """
        self.folder = folder

    @abstractmethod
    def options(self, values: Mapping[str, Any]) -> None:
        """Take note of the run's options by name, before every stage and before the scores."""

    @abstractmethod
    def epoch(self, row: Epoch) -> None:
        """Write losses and validation accuracy of an epoch, counted from 0 in its stage."""

    @abstractmethod
    def scores(self, values: Mapping[str, float]) -> None:
        """Write final scores, by names such as "snn_trained/oa"."""

    def close(self) -> None:  # noqa: B027 - not every writer has something to close
        """End the writing, of an interrupted run too."""


TRACKERS: Registry[type[Tracker]] = Registry("--track", package="snnquant.training.trackers")
"""Every tracker by the name that `--track` takes."""


def curves(row: Epoch) -> dict[str, float]:
    """Return what trackers draw of an epoch, by name.

    >>> curves(Epoch("cnn", 0, 1.5, 0.25, 1.75))
    {'loss': 1.5, 'validation_loss': 1.75, 'validation_accuracy': 0.25}
    """
    return {
        "loss": row.loss,
        "validation_loss": row.validation_loss,
        "validation_accuracy": row.validation_accuracy,
    }
