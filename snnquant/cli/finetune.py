"""`snnquant finetune`: the converted SNN is trained under quantization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snnquant.cli.options import Device, Json, RunFolder, carry_out, reopen, show

if TYPE_CHECKING:
    from snnquant.pipeline.run import Run


def finetune(folder: RunFolder, /, *, device: Device = "auto", json: Json = False) -> None:
    """Train weights, leaks and thresholds of a run's converted SNN; resumes where it stopped."""
    from snnquant.pipeline import evaluation, stages

    def work(run: Run) -> dict[str, Any]:
        stages.train_snn(run)
        return evaluation.evaluate(run)

    show(carry_out(lambda progress: reopen(folder, progress, device), work), json)
