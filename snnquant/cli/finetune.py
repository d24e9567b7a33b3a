"""`snnquant finetune`: training of the converted SNN under quantization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snnquant.cli.options import (
    Device,
    Json,
    RunFolder,
    open_run,
    print_metrics,
    run_with_progress,
)

if TYPE_CHECKING:
    from snnquant.pipeline.run import Progress, Run
    from snnquant.report import RunMetrics


def finetune(folder: RunFolder, /, *, device: Device = "auto", json: Json = False) -> None:
    """Train weights, leaks and thresholds of a run's converted SNN; resume where it stopped."""
    from snnquant.pipeline import evaluation, stages

    def work(run: Run) -> RunMetrics:
        stages.train_snn(run)
        return evaluation.evaluate(run)

    def start(progress: Progress) -> Run:
        return open_run(folder, progress, device)

    print_metrics(run_with_progress(start, work), json)
