"""Trackers of a run: what they are told, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from snnquant.config import options_before
from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.pipeline.run import Run
from snnquant.report.run_metrics import RunMetrics
from snnquant.training import TRACKERS, Epoch, Tracker


def add_trackers(run: Run, names: Sequence[str]) -> None:
    """Give a run its trackers, which write nothing before its first stage.

    Args:
        run: The run.
        names: Names in `snnquant.training.TRACKERS`.

    Raises:
        InputError: A name is unknown, or the extra of a tracker is missing.
    """
    run.trackers.extend(TRACKERS.get(name)(run.path) for name in dict.fromkeys(names))


@contextmanager
def closed_trackers(run: Run) -> Iterator[None]:
    """Close the trackers of a run at the end, of an interrupted one too."""
    try:
        yield
    finally:
        _tell(run, lambda tracker: tracker.close())


def track_options(run: Run) -> None:
    """Tell the trackers the options of a run, which its first stage may have completed."""
    if run.trackers:
        values = options_before(run.config, "evaluation")
        _tell(run, lambda tracker: tracker.options(values))


def track_epoch(run: Run, row: Epoch) -> None:
    """Tell the trackers an epoch."""
    _tell(run, lambda tracker: tracker.epoch(row))


def track_scores(run: Run, metrics: RunMetrics) -> None:
    """Tell the trackers the accuracies of every network, 0 to 1, and energies in pJ per pixel."""
    values: dict[str, float] = {}
    for network, found in metrics.networks.items():
        values |= {f"{network}/oa": found.oa, f"{network}/aa": found.aa}
        values[f"{network}/kappa"] = found.kappa
    for table, energies in metrics.energy_pj.items():
        values |= {f"{network}/energy_pj/{table}": pj for network, pj in energies.items()}
    track_options(run)
    _tell(run, lambda tracker: tracker.scores(values))


def _tell(run: Run, call: Callable[[Tracker], None]) -> None:
    for tracker in run.trackers:
        try:
            call(tracker)
        except OSError as error:
            raise InputError(
                f"{run.path}: --track: cannot be written ({one_line(error)})"
            ) from None
