"""Networks trained without validation blocks, on which the choices for a run are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snnquant.pipeline.kept_files import hand_on
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import given
from snnquant.pipeline.stages import convert_cnn, quantize_cnn, train_cnn, train_snn, train_twin
from snnquant.sampling import Split
from snnquant.sampling.validation_blocks import hold_out_blocks, hold_out_squares
from snnquant.stored_networks import Network

HELD_OUT = "held_out"
"""Folder in the run folder."""
FRACTION = 0.3
"""Share of the training side that is held out: these networks are only for choices, so that more
can validate than where the networks are kept."""
DRAWS = 5
"""Times that blocks are held out where no network is trained for it."""


def _train_teacher(run: Run) -> None:
    if run.config.training.teacher == "twin":
        train_twin(run)


_STAGES: dict[Network, tuple[Callable[[Run], None], ...]] = {
    Network.CNN_FP32: (train_cnn,),
    Network.CNN_QUANTIZED: (train_cnn, quantize_cnn),
    Network.CNN_TWIN: (train_cnn, train_twin),
    Network.SNN_CONVERTED: (train_cnn, convert_cnn),
    Network.SNN_TRAINED: (train_cnn, convert_cnn, _train_teacher, train_snn),
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
    kept = inner.path / "split.npz"
    if kept.exists():
        vars(inner)["split"] = Split.load(kept)
    elif config.split.protocol == "blocks" and (draws := held_out_draws(run)):
        train, val = draws[0]
        vars(inner)["split"] = given(replace(run.split, train=train, val=val))
    hand_on(run.path, inner.path)
    for stage in _STAGES[Network.of(name)]:
        stage(inner)
    return inner


def held_out_draws(run: Run) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return training and held-out pixels of several draws from the training side.

    Under `--split blocks` they are drawn as the test pixels were: parts of fields whose rest may
    train are easier than whole fields, and more of their neighbours are of one class. Elsewhere
    whole fields are held out. Draws that hold nothing out are left out.

    Args:
        run: A run; none of its pixels are held out unless blocks validate.
    """
    options, scene, split = run.config.split, run.scene, run.split
    if not options.validates_on_blocks:
        return []
    guard = run.config.model.window if options.guard is None else options.guard
    share = replace(options, validation_fraction=FRACTION)
    learn = np.union1d(split.train, split.val)
    classes, shape = scene.labels.ravel()[learn], (scene.height, scene.width)
    draw = np.random.default_rng(run.config.seed)
    draws = [
        hold_out_squares(learn, classes, share, guard, draw, shape)
        if options.protocol == "blocks"
        else hold_out_blocks(scene, learn, share, guard, draw)[:2]
        for _ in range(DRAWS)
    ]
    return [(train, held_out) for train, held_out in draws if len(train) and len(held_out)]
