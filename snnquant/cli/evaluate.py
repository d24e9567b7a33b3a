"""`snnquant evaluate`: the scores of a run's networks, computed anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from snnquant.cli.options import Device, Json, RunFolder, carry_out, reopen, show

if TYPE_CHECKING:
    from snnquant.pipeline.run import Run


def evaluate(
    folder: RunFolder,
    /,
    *,
    early_exit: Annotated[bool, Parameter(negative="")] = False,
    integers: Annotated[bool, Parameter(negative="")] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Score and price every network of a run on its test pixels.

    Parameters
    ----------
    early_exit
        Also stop a pixel's time steps when its class is settled: what that saves and costs.
    integers
        Also run the trained SNN in integers, as hardware would: how many classes stay the same.
    """
    from snnquant.pipeline import evaluation

    def work(run: Run) -> dict[str, Any]:
        metrics = evaluation.evaluate(run)
        if early_exit:
            metrics["early_exit"] = evaluation.evaluate_early_exit(run)
        if integers:
            metrics["integers"] = evaluation.evaluate_integers(run)
        return metrics

    metrics = carry_out(lambda progress: reopen(folder, progress, device), work)
    show(metrics, json)
    if json:
        return
    if early_exit:
        print(_exits(metrics["early_exit"]))
    if integers:
        result = metrics["integers"]
        same, accuracy = 100 * result["agreement"], 100 * result["overall_accuracy"]
        print(f"integers: {same:.2f} % of the test pixels as in floats, OA {accuracy:.2f} %")


def _exits(result: dict[str, Any]) -> str:
    accuracy, before = result["overall_accuracy"], result["overall_accuracy_of_all_steps"]
    lines = [
        f"early exit: {result['mean_steps']:.2f} of {result['time_steps']} steps a pixel, "
        f"OA {100 * accuracy:.2f} % ({100 * (accuracy - before):+.2f})"
    ]
    for rule, energy in result["energy_pj"].items():
        saved = 1 - energy / result["energy_pj_of_all_steps"][rule]
        lines.append(f"early exit: {energy:,.0f} pJ a pixel, {100 * saved:.1f} % saved ({rule})")
    return "\n".join(lines)
