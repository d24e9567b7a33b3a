"""Soft labels for the training of an SNN from more than its CNN."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from snnquant.pipeline.controls import lda_probabilities
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import batch_size_for, unlabelled
from snnquant.training import Teacher, predict


def soft_labels(run: Run, cnn: nn.Module) -> Teacher:
    """Return the teacher of the SNN that the options name.

    Args:
        run: The run.
        cnn: Its 32-bit CNN.

    Returns:
        The CNN, or probabilities [H W, K] with rows for the training pixels and, where they are
        used, the pixels without a label; zeros elsewhere. They are learnt from training pixels.
    """
    teacher, scene, train = run.config.training.teacher, run.scene, run.split.train
    if teacher == "cnn":
        return cnn
    more = unlabelled(run.config, scene)
    pixels = train if more is None else np.union1d(train, more.numpy())
    found = torch.zeros(scene.height * scene.width, scene.classes)
    linear = lda_probabilities(scene, train, run.config.model.window, pixels)
    found[pixels] = torch.from_numpy(linear).float()
    if teacher == "cnn+lda":
        indices = torch.from_numpy(pixels)
        batch = batch_size_for(cnn, run.patches.gather(indices[:1]))
        found[pixels] += predict(cnn, run.patches, indices, batch).softmax(1)
        found /= 2
    return found
