"""`snnquant evaluate`: scores and prices of a run's networks, computed anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from snnquant.cli.options import (
    Device,
    Json,
    Moved,
    RunFolder,
    open_run,
    print_metrics,
    run_with_progress,
)

if TYPE_CHECKING:
    from snnquant.pipeline.run import Run
    from snnquant.report import RunMetrics


def evaluate(
    folder: RunFolder,
    /,
    *,
    early_exit: Annotated[bool, Parameter(negative="")] = False,
    integers: Annotated[bool, Parameter(negative="")] = False,
    smoothing: str | None = None,
    unknown_accuracy: float | None = None,
    scene: Moved = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Score and price every network of a run on its test pixels.

    Parameters
    ----------
    early_exit
        Also report savings and accuracy when a pixel's time steps end once its class is settled.
    integers
        Also run the trained SNN in integers, as hardware would, and report the agreement.
    smoothing
        Smoothing of this run's maps from now on: sigma in pixels, 0 for none, or auto.
    unknown_accuracy
        Accuracy for which the least certain pixels of its maps are unknown from now on; 0: none.
    """
    from snnquant.pipeline import evaluation
    from snnquant.pipeline.readouts import change_confidence

    more: dict[str, Any] = {}

    def work(run: Run) -> RunMetrics:
        change_confidence(run, smoothing=smoothing, unknown_accuracy=unknown_accuracy)
        metrics = evaluation.evaluate(run)
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


def _exits(result: dict[str, Any]) -> str:
    accuracy, before = result["overall_accuracy"], result["overall_accuracy_of_all_steps"]
    lines = [
        f"early exit: {result['mean_steps']:.2f} of {result['time_steps']} steps per pixel, "
        f"OA {100 * accuracy:.2f} % ({100 * (accuracy - before):+.2f})"
    ]
    for table, energy in result["energy_pj"].items():
        saved = 1 - energy / result["energy_pj_of_all_steps"][table]
        lines.append(f"early exit: {energy:,.0f} pJ per pixel, {100 * saved:.1f} % saved ({table})")
    return "\n".join(lines)
