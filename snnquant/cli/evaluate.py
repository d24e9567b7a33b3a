"""`snnquant evaluate`: scores and prices of a run's networks, computed anew."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from snnquant.cli.options import (
    Device,
    Json,
    RunFolder,
    open_run,
    print_metrics,
    run_with_progress,
)
from snnquant.errors import InputError

if TYPE_CHECKING:
    from snnquant.pipeline.run import Run
    from snnquant.report import RunMetrics
    from snnquant.scenes import Scene


def evaluate(
    folder: RunFolder,
    /,
    *,
    early_exit: Annotated[bool, Parameter(negative="")] = False,
    integers: Annotated[bool, Parameter(negative="")] = False,
    smoothing: str | None = None,
    unknown_accuracy: float | None = None,
    scene: Annotated[
        str | None,
        Parameter(
            help="Another scene to score on, all its pixels of the run's classes, matched by name: "
            "a scene's name, a card, a saved scene, or synthetic:HxWxB. Or where the data of the "
            "run's own scene are now, if they have moved: a folder, or a card in it."
        ),
    ] = None,
    resample: Annotated[bool, Parameter(negative="")] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Score and price every network of a run on its test pixels, or score it on another scene.

    Parameters
    ----------
    early_exit
        Also report savings and accuracy when a pixel's time steps end once its class is settled,
        and the accuracy at every number of steps up to the run's.
    integers
        Also run the trained SNN in integers, as hardware would, and report the agreement.
    smoothing
        Smoothing of this run's maps from now on: sigma in pixels, edges:N, 0 for none, or auto.
    unknown_accuracy
        Accuracy for which the least certain pixels of its maps are unknown from now on; 0: none.
    resample
        Resample the bands of another scene to the wavelengths of the run's scene.
    """
    from snnquant.pipeline import evaluation
    from snnquant.pipeline.kept_files import KeptScene
    from snnquant.pipeline.readouts import change_confidence
    from snnquant.pipeline.report_data import evaluate_and_report

    other = None if scene is None else KeptScene(folder, scene).other_scene()
    if other is not None:
        given = {
            **{"early-exit": early_exit, "integers": integers},
            **{"smoothing": smoothing, "unknown-accuracy": unknown_accuracy},
        }
        _refuse_beside(other, given)
        _evaluate_across(folder, other, resample, device, json)
        return
    if resample:
        raise InputError("--resample: found no other scene, expected one as --scene")
    more: dict[str, Any] = {}

    def work(run: Run) -> RunMetrics:
        change_confidence(run, smoothing=smoothing, unknown_accuracy=unknown_accuracy)
        metrics = evaluate_and_report(run)
        if early_exit:
            more["early_exit"] = evaluation.evaluate_early_exit(run).to_dict()
        if integers:
            more["integers"] = evaluation.evaluate_integers(run).to_dict()
        return metrics

    metrics = run_with_progress(lambda progress: open_run(folder, progress, device, scene), work)
    print_metrics(metrics, json, **more)
    if json:
        return
    if early_exit:
        print(_exits(more["early_exit"]))
    if integers:
        result = more["integers"]
        same, accuracy = 100 * result["agreement"], 100 * result["overall_accuracy"]
        print(f"integers: {same:.2f} % of the test pixels as in floats, OA {accuracy:.2f} %")


def _refuse_beside(scene: Scene, given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is not None and value is not False:
            found = f"found another scene, {scene.name}, beside it"
            raise InputError(f"--{name}: {found}, expected the run's own")


def _evaluate_across(
    folder: Path, scene: Scene, resample: bool, device: Device, as_json: bool
) -> None:
    from rich.console import Console

    from snnquant.pipeline.across import across_file, evaluate_across
    from snnquant.report.across_scenes import across_section
    from snnquant.report.terminal import print_section

    metrics = run_with_progress(
        lambda progress: open_run(folder, progress, device),
        lambda run: evaluate_across(run, scene, resample=resample),
    )
    if as_json:
        print(json_module.dumps(metrics.to_dict()))
        return
    print_section(across_section(metrics), Console())
    print(f"scores: {across_file(folder, scene)}")


def _exits(result: dict[str, Any]) -> str:
    accuracy, before = result["overall_accuracy"], result["overall_accuracy_of_all_steps"]
    lines = [
        f"early exit: {result['mean_steps']:.2f} of {result['time_steps']} steps per pixel, "
        f"OA {100 * accuracy:.2f} % ({100 * (accuracy - before):+.2f})"
    ]
    for table, energy in result["energy_pj"].items():
        saved = 1 - energy / result["energy_pj_of_all_steps"][table]
        lines.append(f"early exit: {energy:,.0f} pJ per pixel, {100 * saved:.1f} % saved ({table})")
    lines += [
        f"T = {fixed['time_steps']} for all: OA {100 * fixed['overall_accuracy']:.2f} %, "
        f"{fixed['accumulates_per_mac']:.3f} accumulates per MAC"
        for fixed in result["fixed_steps"]
    ]
    return "\n".join(lines)
