"""`snnquant train`: the CNN alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snnquant.cli.options import DEFAULTS, NO_START, Config, StartOptions, carry_out, show, start

if TYPE_CHECKING:
    from snnquant.pipeline.run import Run


def train(config: Config = DEFAULTS, options: StartOptions = NO_START) -> None:
    """Train the 32-bit and the quantized CNN of a scene and score them."""
    from snnquant.pipeline import evaluation, stages

    def work(run: Run) -> dict[str, Any]:
        stages.train_cnn(run)
        stages.quantize_cnn(run)
        return evaluation.evaluate(run)

    show(carry_out(lambda progress: start(config, options, progress), work), options.json)
