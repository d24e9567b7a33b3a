"""`snnquant train`: the 32-bit and the quantized CNN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snnquant.cli.options import (
    DEFAULT_CONFIG,
    DEFAULT_OPTIONS,
    Config,
    SharedOptions,
    create_or_resume,
    print_metrics,
    run_with_progress,
)

if TYPE_CHECKING:
    from snnquant.pipeline.run import Progress, Run
    from snnquant.report import RunMetrics


def train(config: Config = DEFAULT_CONFIG, options: SharedOptions = DEFAULT_OPTIONS) -> None:
    """Train the 32-bit and the quantized CNN of a scene and score them."""
    from snnquant.pipeline import stages
    from snnquant.pipeline.report_data import evaluate_and_report

    def work(run: Run) -> RunMetrics:
        stages.train_cnn(run)
        stages.quantize_cnn(run)
        return evaluate_and_report(run)

    def start(progress: Progress) -> Run:
        return create_or_resume(config, options, progress)

    print_metrics(run_with_progress(start, work), options.json)
