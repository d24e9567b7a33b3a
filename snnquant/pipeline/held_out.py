"""Networks trained without validation blocks, on which the choices for a run are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from snnquant.pipeline.kept_files import hand_on
from snnquant.pipeline.run import Run
from snnquant.pipeline.stages import convert_cnn, quantize_cnn, train_cnn, train_snn
from snnquant.stored_networks import Network

HELD_OUT = "held_out"
"""Folder in the run folder."""
FRACTION = 0.3
"""Share of the training side that is held out: these networks are only for choices, so that more
can validate than where the networks are kept."""
_STAGES: dict[Network, tuple[Callable[[Run], None], ...]] = {
    Network.CNN_FP32: (train_cnn,),
    Network.CNN_QUANTIZED: (train_cnn, quantize_cnn),
    Network.SNN_CONVERTED: (train_cnn, convert_cnn),
    Network.SNN_TRAINED: (train_cnn, convert_cnn, train_snn),
}


def held_out_run(run: Run, name: str) -> Run:
    """Return the run without its validation blocks, trained up to a network.

    A map of ground far from the training pixels needs all of these; its smoothing, temperatures and
    thresholds need ground that was not trained on. So the networks are trained twice, and what was
    chosen with the first ones is used with the second.

    Args:
        run: A run that refits.
        name: A `Network`, or its key.

    Raises:
        InputError: If a file cannot be written.
    """
    share = max(FRACTION, run.config.split.validation_fraction)
    split = replace(run.config.split, refit=False, validation_fraction=share)
    config = replace(run.config, split=split)

    def progress(stage: str, done: int, total: int, remark: str) -> None:
        run.progress(f"{stage}, blocks held out", done, total, remark)

    inner = Run(run.path / HELD_OUT, config, progress, run.device, run.data)
    vars(inner)["scene"] = run.scene
    hand_on(run.path, inner.path)
    for stage in _STAGES[Network.of(name)]:
        stage(inner)
    return inner
