"""`snnquant run`: the whole chain on a scene."""

from __future__ import annotations

import sys
from pathlib import Path
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


def run(config: Config = DEFAULT_CONFIG, options: SharedOptions = DEFAULT_OPTIONS) -> None:
    """Train a CNN, convert it, train the SNN under quantization, score and price all of them."""
    from snnquant.pipeline.whole_run import run_all

    def start(progress: Progress) -> Run:
        return create_or_resume(config, options, progress)

    metrics = run_with_progress(start, run_all)
    print_metrics(metrics, options.json)
    if not options.json:
        from snnquant.report import next_steps

        print(next_steps(Path(metrics.run), Path(sys.argv[0])))
