"""Soft labels for the training of an SNN and its twin from more than their CNN."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from snnquant.inference import Edges, Strength
from snnquant.pipeline.controls import lda_probabilities, svm_probabilities
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import batch_size_for, unlabelled
from snnquant.scenes import Scene
from snnquant.stored_networks import Network
from snnquant.training import Teacher, predict

_CONTROLS: dict[
    str, Callable[[Scene, NDArray[np.int64], int, NDArray[np.int64]], NDArray[np.float64]]
] = {"lda": lda_probabilities, "svm": svm_probabilities}


def soft_labels(run: Run, cnn: nn.Module, student: Network = Network.SNN_TRAINED) -> Teacher:
    """Return the teacher of the SNN, or of its twin, that the options name.

    Args:
        run: The run, with its twin where this is the SNN's teacher.
        cnn: Its 32-bit CNN, which teaches a twin that is a teacher.
        student: Network that is trained.

    Returns:
        The CNN, the twin, or probabilities [H W, K] with rows for the training pixels and, where
        they are used, the pixels without a label; zeros elsewhere. They are learnt from training
        pixels, and smoothed over the pixels that have rows.
    """
    training, scene, train = run.config.training, run.scene, run.split.train
    of_twin = training.teacher == "twin"
    if of_twin and student is Network.SNN_TRAINED:
        cnn = run.load(Network.CNN_TWIN).network
    if (of_twin or training.teacher == "cnn") and not training.teacher_passes:
        return cnn
    more = unlabelled(run.config, scene)
    pixels = train if more is None else np.union1d(train, more.numpy())
    indices, parts = torch.from_numpy(pixels), training.teacher.split("+")
    found = torch.zeros(scene.height * scene.width, scene.classes)
    for name in parts:
        if name in ("cnn", "twin"):
            batch = batch_size_for(cnn, run.patches.gather(indices[:1]))
            found[indices] += predict(cnn, run.patches, indices, batch).softmax(1)
        else:
            own = _CONTROLS[name](scene, train, run.config.model.window, pixels)
            found[indices] += torch.from_numpy(own).float()
    found /= len(parts)
    if training.teacher_passes:
        shape = (scene.height, scene.width)
        labelled = np.isin(np.arange(len(found)), pixels).reshape(shape)
        guide = Edges.of(scene.cube.reshape(-1, scene.bands)[train])(scene.cube)
        strength = Strength(passes=training.teacher_passes)
        smoothed = strength.smooth(found.numpy().reshape(*shape, -1), labelled, guide)
        found = torch.from_numpy(smoothed.reshape(len(found), -1))
    return found
