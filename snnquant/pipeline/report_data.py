"""The page of a run: gather what it shows."""

from __future__ import annotations

import json
from pathlib import Path

from snnquant.errors import InputError
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.page_prices import chip_prices
from snnquant.pipeline.page_views import scene_views
from snnquant.pipeline.run import Run
from snnquant.report.page import write_html
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.run_record import RunRecord

METRICS_FILE, PAGE = "metrics.json", "report.html"


def write_report(run: Run, metrics: RunMetrics | None = None) -> Path:
    """Write report.html of a run.

    Args:
        run: A run that was evaluated.
        metrics: Content of its metrics.json; None reads the file.

    Returns:
        The page.

    Raises:
        InputError: If the run has no metrics.json, or a file cannot be read or written.

    >>> from tempfile import TemporaryDirectory
    >>> from snnquant.config import ModelConfig, RunConfig, TrainingConfig
    >>> from snnquant.pipeline.stages import train_cnn
    >>> config = RunConfig(
    ...     scene="synthetic:24x24x16",
    ...     model=ModelConfig(widths=(2, 2)),
    ...     training=TrainingConfig(cnn_epochs=1),
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     run = Run.create(config, Path(folder) / "run")
    ...     train_cnn(run)
    ...     page = write_report(run, evaluate(run))
    ...     page.name, "<h2>Map</h2>" in page.read_text()
    ('report.html', True)
    """
    metrics = read_metrics(run.path) if metrics is None else metrics
    page = run.path / PAGE
    views, prices = scene_views(run), chip_prices(run)
    write_html(metrics, page, views, RunRecord.read(run.path), prices)
    return page


def evaluate_and_report(run: Run) -> RunMetrics:
    """Score and price a run's networks as `evaluate` does, then write its page."""
    metrics = evaluate(run)
    write_report(run, metrics)
    return metrics


def read_metrics(folder: Path) -> RunMetrics:
    """Read metrics.json of a run; raise InputError where it is missing or damaged."""
    file = folder / METRICS_FILE
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = "no such file, expected the scores of `snnquant evaluate`"
        raise InputError(f"{file}: {found}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: found {error}, expected a readable JSON file") from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: found {type(values).__name__}, expected a JSON object")
    try:
        return RunMetrics.from_dict(values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except AttributeError as error:
        raise InputError(f"{file}: damaged, expected the scores of a run ({error})") from None
