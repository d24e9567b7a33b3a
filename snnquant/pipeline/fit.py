"""Training of one network of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from snnquant.config import TrainingConfig
from snnquant.pipeline.durations import timing
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import FIGURES, unlabelled, write_figures, write_history
from snnquant.pipeline.tracked import track_epoch, track_options
from snnquant.quantization import Plan, Rule
from snnquant.training import Epoch, SpikePenalty, Stage, Teacher, adamw, steps_per_epoch, train


def fit(
    run: Run,
    network: nn.Module,
    stage: Stage,
    teacher: Teacher | None,
    plan: Plan | None = None,
    *,
    penalised: bool = False,
) -> None:
    """Train a network on the training pixels, with progress, history and resumable state.

    Args:
        run: The run, whose folder gets the history.
        network: CNN or SNN, trained in place.
        stage: Name, epochs and peak learning rate.
        teacher: Source of soft labels, if any.
        plan: Plan of a quantization method, which adds its rules, quantizers of errors and
            optimizer, and replaces options by its recipe.
        penalised: Whether `--spike-penalty` and `--spike-target` hold for the network.

    Raises:
        InputError: As `snnquant.training.train`, and for a target that no epoch meets.
    """
    network.to(run.device)
    plan = plan or Plan()
    settings, stage = _with_recipe(plan.recipe, run.config.training, stage)
    remark_of_recipe = ", ".join(f"{name} {value}" for name, value in plan.recipe.items())

    def report(row: Epoch) -> None:
        remark = f"loss {row.loss:.4f}  validation OA {100 * row.validation_accuracy:.2f} %"
        run.progress(stage.name, row.epoch + 1, stage.epochs, remark)
        track_epoch(run, row)

    penalty = _penalty(run, network, stage, settings) if penalised else None
    rules: list[Rule] = [rule(network) for rule in plan.rules]
    if penalty is not None:
        rules.append(penalty)
    run.progress(stage.name, 0, stage.epochs, remark_of_recipe)
    track_options(run)
    with timing(run, stage.name):
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
            penalty=penalty,
            rules=rules,
            error=plan.error,
            optimizer=plan.optimizer or adamw,
            on_epoch=report,
        )
    write_history(run.path / "history.csv", stage.name, history)
    figures = {name: value for rule in rules for name, value in rule.figures().items()}
    if figures:
        write_figures(run.path / FIGURES, stage.name, figures)
    remarks = [f"{len(history)} epochs", *(f"{name} {v:.4g}" for name, v in figures.items())]
    run.progress(stage.name, stage.epochs, stage.epochs, ", ".join(remarks))


def _with_recipe(
    recipe: Mapping[str, Any], training: TrainingConfig, stage: Stage
) -> tuple[TrainingConfig, Stage]:
    """Replace training options, and a stage's peak rate, by those that a method needs."""
    rate = recipe.get("learning_rate", stage.rate)
    return replace(training, **recipe), replace(stage, rate=rate)


def _penalty(
    run: Run, network: nn.Module, stage: Stage, training: TrainingConfig
) -> SpikePenalty | None:
    """Return the penalty on the accumulates of a network, if the options name one."""
    if not training.spike_penalty and not training.spike_target:
        return None
    train = run.split.train
    return SpikePenalty(
        network,
        run.patches.gather(train[:1]),
        stage.epochs * steps_per_epoch(len(train), training.batch_size),
        weight=training.spike_penalty,
        target=training.spike_target,
    )
