"""`snnquant run`: the whole chain on a scene."""

from __future__ import annotations

from snnquant.cli.options import DEFAULTS, NO_START, Config, StartOptions, carry_out, show, start


def run(config: Config = DEFAULTS, options: StartOptions = NO_START) -> None:
    """Train a CNN, convert it, train the SNN under quantization, score and price all of them."""
    from snnquant.pipeline import stages

    metrics = carry_out(lambda progress: start(config, options, progress), stages.run_all)
    show(metrics, options.json)
