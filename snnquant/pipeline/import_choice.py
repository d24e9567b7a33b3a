"""Choice of the layout and the scaling of the pixels that an imported CNN was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from snnquant.config.scaling_names import SCALINGS, WITHIN_CLASS
from snnquant.pipeline.run import Run
from snnquant.sampling import Normalisation, Patches

ENOUGH = 256
"""Pixels that a choice is made on; training pixels fill up where fewer are for validation."""
MOST = 2048
"""Pixels that a choice is made on at most."""
BATCH = 256
CLEARLY = 3.0
"""Standard errors by which another scaling is clearly better than the one asked for."""
INTEGERS_ABOVE = 100.0
"""Largest value from which on a cube is taken for integers, so that divide:10000 is tried."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A CNN of patches [N, 1, B, h, w] and the layout in which it takes them.

    `outputs` is K, or K + 1 for a CNN with an output for unlabelled pixels, its first.
    """

    layout: str
    network: nn.Module
    outputs: int


@dataclass(frozen=True, eq=False)
class _Trial:
    """A candidate on pixels of one scaling: which it gets right, and its loss."""

    candidate: Candidate
    scaling: str
    right: Tensor
    loss: float

    @property
    def accuracy(self) -> float:
        return float(self.right.double().mean())

    @property
    def percent(self) -> str:
        return f"{100 * self.accuracy:.1f} %"

    def beats(self, other: _Trial, errors: float) -> bool:
        """Tell whether it is right more often by so many standard errors of the difference."""
        gained = int((self.right & ~other.right).sum())
        lost = int((other.right & ~self.right).sum())
        return gained - lost >= errors * (gained + lost) ** 0.5 and gained > lost


def choose(run: Run, candidates: Sequence[Candidate]) -> tuple[Candidate, Normalisation, list[str]]:
    """Choose a candidate, and the scaling unless the user asked for one, by accuracy.

    Of those that are right on validation pixels as often as the best, within a standard error,
    the one of least loss is taken; test pixels take no part.

    Args:
        run: A run without networks.
        candidates: Forms of the CNN that run on its patches, the likeliest first.

    Returns:
        The candidate, the normalisation, and remarks for the user on both.
    """
    asked = run.config.scaling
    pixels, which = _pixels(run)
    fitted = {scaling: run.scaled(scaling) for scaling in _scalings(run)}
    trials = _trials(run, candidates, fitted, pixels)
    pool = [trial for trial in trials if asked in ("auto", trial.scaling)]
    best = max(pool, key=lambda trial: (trial.accuracy, -trial.loss))
    chosen = min((t for t in pool if not best.beats(t, 1)), key=lambda trial: trial.loss)
    remarks = [f"takes patches as [{chosen.candidate.layout}]"]
    others = [t for t in trials if t.scaling == chosen.scaling and t is not chosen]
    if others:
        listed = ", ".join(f"{t.percent} as [{t.candidate.layout}]" for t in others)
        remarks[0] += f": right on {chosen.percent} of {which}, {listed} (--layout)"
    scalings = [t for t in trials if t.candidate is chosen.candidate and t is not chosen]
    listed = ", ".join(f"{t.scaling} {t.percent}" for t in scalings)
    remark = f"pixels scaled as {chosen.scaling} (--scaling): right on {chosen.percent} of {which}"
    remarks.append(f"{remark}; {listed}" if listed else remark)
    better = max(scalings, key=lambda trial: (trial.accuracy, -trial.loss), default=chosen)
    if better.beats(chosen, CLEARLY):
        remarks.append(
            f"--scaling {better.scaling} is clearly better than the {chosen.scaling} asked for: "
            f"{better.percent}, not {chosen.percent}"
        )
    return chosen.candidate, fitted[chosen.scaling], remarks


def _scalings(run: Run) -> list[str]:
    """List the scalings to try; the one that is asked for comes first."""
    asked = run.config.scaling
    known = list(SCALINGS)
    if float(run.scene.cube.max()) > INTEGERS_ABOVE:
        known.append("divide:10000")
    if 0 < run.config.model.components < run.scene.bands:
        known = ["standard", "none", "minmax-band"]  # components are whitened in any case
    elif run.config.model.forms != ["raw"]:
        known = ["standard", WITHIN_CLASS]  # the only ones for forms of the spectrum
    return known if asked == "auto" else list(dict.fromkeys([asked, *known]))


def _pixels(run: Run) -> tuple[Tensor, str]:
    """Return the pixels of the choice, flat indices, and words for them."""
    chosen, which = run.split.val, "validation"
    if len(chosen) < ENOUGH:
        chosen = np.concatenate([chosen, run.split.train[: ENOUGH - len(chosen)]])
        which = "validation and training"
    places = np.unique(np.linspace(0, len(chosen) - 1, MOST).astype(np.int64))
    return torch.from_numpy(chosen[places]), f"{len(places)} {which} pixels"


@torch.no_grad()
def _trials(
    run: Run,
    candidates: Sequence[Candidate],
    fitted: Mapping[str, Normalisation],
    pixels: Tensor,
) -> list[_Trial]:
    classes = torch.from_numpy(run.scene.labels.reshape(-1)[pixels.numpy()] - 1)
    trials = []
    for scaling, normalisation in fitted.items():
        patches = Patches(run.scene.cube, run.config.model.window, normalisation)
        for candidate in candidates:
            logits = torch.cat(
                [
                    candidate.network(patches.gather(some)).float()
                    for some in torch.split(pixels, BATCH)
                ]
            )[:, candidate.outputs - run.scene.classes :]
            loss = float(nn.functional.cross_entropy(logits, classes))
            trials.append(_Trial(candidate, scaling, logits.argmax(1) == classes, loss))
    return trials
