"""`snnquant finetune`: training of the converted SNN and its twin under quantization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snnquant.cli.options import (
    DEFAULT_CONFIG,
    Config,
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


def finetune(
    folder: RunFolder,
    /,
    config: Config = DEFAULT_CONFIG,
    *,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train a run's converted SNN, leaks and thresholds too, and its twin; resume where it stopped.

    Options are the run's own unless given; of those that decide on earlier stages none may change.
    `--scene` says where the scene's data are now, if they have moved.
    """
    from snnquant.config import read_config
    from snnquant.pipeline import stages
    from snnquant.pipeline.report_data import evaluate_and_report

    def work(run: Run) -> RunMetrics:
        if config is not DEFAULT_CONFIG:
            stages.change_options(run, config)
        stages.train_twin(run)
        stages.train_snn(run)
        return evaluate_and_report(run)

    def start(progress: Progress) -> Run:
        moved = None
        if config is not DEFAULT_CONFIG and (folder / "config.toml").exists():
            own = read_config(folder / "config.toml").scene
            moved = config.scene if config.scene != own else None
        return open_run(folder, progress, device, moved)

    print_metrics(run_with_progress(start, work), json)
