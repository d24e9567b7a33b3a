"""`snnquant evaluate`: the scores of a run's networks, computed anew."""

from __future__ import annotations

from snnquant.cli.options import Json, RunFolder, carry_out, reopen, show


def evaluate(folder: RunFolder, /, *, json: Json = False) -> None:
    """Score and price every network of a run on its test pixels."""
    from snnquant import stages

    show(carry_out(lambda progress: reopen(folder, progress), stages.evaluate), json)
