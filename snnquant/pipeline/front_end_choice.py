"""Choice of the form and the scaling of spectra, and their way into a CNN's first kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from torch import nn

from snnquant.config import RunConfig, SplitConfig
from snnquant.config.scaling_names import WITHIN_CLASS
from snnquant.conversion import fold_front_end, takes_front_end
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import merges_whitening
from snnquant.sampling import Normalisation
from snnquant.sampling.validation_blocks import hold_out_blocks
from snnquant.scenes import Scene

SPECTRA = ("raw", "snv", "log-derivative", "raw+snv+log-derivative")
"""Forms that are tried, the simplest first."""
SHRINKAGES = (1e-3, 1e-2, 1e-4)
"""Shrinkages that are tried, the usual one first."""
MERGED = (0.3, 0.1, 0.03)
"""The same where the matrix merges into quantized weights, which hold no smaller differences."""
DRAWS = 5
"""Times that blocks are held out."""
_FRACTION = 0.3
"""Share of the training side that is held out each time."""


def choose_front_end(run: Run) -> None:
    """Put the spectra and the scaling that suit held-out blocks best into a run's options.

    Without effect unless blocks validate, `--scaling` is auto and no principal components are
    taken. Several times, blocks of the training side are held out, spectra are whitened within the
    classes of the rest, and each block pixel's mean over its window gets the class of the nearest
    mean. Of the combinations within a standard error (paired) of the best accuracy, the first in
    the order of `SPECTRA` and `SHRINKAGES`, or `MERGED`, is taken.

    Args:
        run: A run without networks.

    Raises:
        InputError: For logarithms, asked for, of training pixels that are not positive in the mean.
    """
    config, scene = run.config, run.scene
    reduces = 0 < config.model.components < scene.bands
    if not config.split.validates_on_blocks or config.scaling != "auto" or reduces:
        return
    folds = _folds(run)
    pixels = scene.cube.reshape(-1, scene.bands)
    positive = min(pixels[train].mean(dtype=np.float64) for train, _ in folds) > 0
    tried = [spectra for spectra in SPECTRA if positive or "log-derivative" not in spectra]
    given = tried if config.model.spectra == "auto" else [config.model.spectra]
    candidates = [
        (spectra, f"{WITHIN_CLASS}:{shrinkage:g}")
        for spectra in given
        for shrinkage in _shrinkages(config, spectra)
    ]
    scores = np.array(
        [[_accuracy(run, *candidate, *fold) for fold in folds] for candidate in candidates]
    )
    chosen = _simplest(scores)
    spectra, scaling = candidates[chosen]
    remark = f"{spectra}, {scaling}: {100 * scores[chosen].mean():.1f} % on held-out blocks"
    run.progress("front_end", 1, 1, remark)
    new = replace(config, scaling=scaling, model=replace(config.model, spectra=spectra))
    run.take(new)


def _shrinkages(config: RunConfig, spectra: str) -> tuple[float, ...]:
    tried = replace(config, model=replace(config.model, spectra=spectra))
    return MERGED if merges_whitening(tried) else SHRINKAGES


def with_front_end(run: Run, cnn: nn.Module) -> nn.Module:
    """Merge the matrix of the pixels' scaling into a CNN whose first kernel can take it.

    The run's pixels are standard scores on a grid from then on, and quantization sees the merged
    weights: the matrix costs nothing. Without effect on pixels in floating point, whose matrix
    `fold_front_end` can still take from a finished network.

    Args:
        run: A run whose CNN is trained but not saved.
        cnn: The CNN, without batch norms.

    Returns:
        The CNN for the run's new normalisation, or the CNN itself.
    """
    normalisation = run.normalisation
    if normalisation.grid is None or not takes_front_end(cnn, normalisation):
        return cnn
    scores = normalisation.without_matrix(run.scene.cube, run.split.train)
    folded = fold_front_end(cnn, normalisation, scores)
    run.use(scores)
    return folded


def _simplest(scores: NDArray[np.float64]) -> int:
    """Return the first row [draws] within one standard error of the row of the best mean."""
    best = scores[scores.mean(axis=1).argmax()]
    behind = best - scores
    errors = behind.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
    return int(np.flatnonzero(behind.mean(axis=1) <= errors)[0])


def _folds(run: Run) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return training and held-out pixels of two or more draws that hold any out."""
    split, options = run.split, run.config.split
    learn = np.sort(np.concatenate([split.train, split.val]))
    draw = np.random.default_rng(run.config.seed)
    held_out: SplitConfig = replace(options, validation_fraction=_FRACTION)
    guard = run.config.model.window if options.guard is None else options.guard
    folds = [hold_out_blocks(run.scene, learn, held_out, guard, draw)[:2] for _ in range(DRAWS)]
    found = [fold for fold in folds if len(fold[1])]
    return found if len(found) > 1 else [(split.train, split.val)] * 2


def _accuracy(
    run: Run,
    spectra: str,
    scaling: str,
    train: NDArray[np.int64],
    held_out: NDArray[np.int64],
) -> float:
    scene: Scene = run.scene
    normalisation = Normalisation.fit(scene, train, 0, scaling, spectra)
    from sklearn.neighbors import NearestCentroid

    window = run.config.model.window
    means = uniform_filter(normalisation.apply(scene.cube), (window, window, 0))
    values, labels = means.reshape(len(scene.labels.ravel()), -1), scene.labels.ravel()
    nearest = NearestCentroid().fit(values[train], labels[train])
    return float((nearest.predict(values[held_out]) == labels[held_out]).mean())
