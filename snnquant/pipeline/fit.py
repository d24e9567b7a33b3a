"""Training of one network of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from snnquant.config import TrainingConfig
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import unlabelled, write_history
from snnquant.quantization import Plan
from snnquant.spiking import SpikingNetwork
from snnquant.training import AccumulateMeter, Epoch, Stage, Teacher, train


def fit(
    run: Run, network: nn.Module, stage: Stage, teacher: Teacher | None, plan: Plan | None = None
) -> None:
    """Train a network on the training pixels, with progress, history and resumable state.

    A quantization method's plan adds its rules and replaces options by its recipe.
    """
    network.to(run.device)
    plan = plan or Plan()
    settings, stage = _with_recipe(plan.recipe, run.config.training, stage)
    remark_of_recipe = ", ".join(f"{name} {value}" for name, value in plan.recipe.items())

    def report(row: Epoch) -> None:
        remark = f"loss {row.loss:.4f}  validation OA {100 * row.validation_accuracy:.2f} %"
        run.progress(stage.name, row.epoch + 1, stage.epochs, remark)

    accumulates = None
    if isinstance(network, SpikingNetwork) and settings.spike_penalty > 0:
        accumulates = AccumulateMeter(network, run.patches.gather(run.split.train[:1]))
    run.progress(stage.name, 0, stage.epochs, remark_of_recipe)
    history = train(
        network,
        run.samples(run.split.train),
        run.samples(run.split.val),
        stage,
        settings,
        run.state_file(stage.name),
        seed=run.config.seed,
        teacher=teacher,
        unlabelled=unlabelled(run.config, run.scene) if teacher is not None else None,
        accumulates=accumulates,
        rules=[rule(network) for rule in plan.rules],
        on_epoch=report,
    )
    write_history(run.path / "history.csv", stage.name, history)
    run.progress(stage.name, stage.epochs, stage.epochs, f"{len(history)} epochs")


def _with_recipe(
    recipe: Mapping[str, Any], training: TrainingConfig, stage: Stage
) -> tuple[TrainingConfig, Stage]:
    """Replace training options, and a stage's peak rate, by those that a method needs."""
    rate = recipe.get("learning_rate", stage.rate)
    return replace(training, **recipe), replace(stage, rate=rate)
