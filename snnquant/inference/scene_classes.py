"""The class of every pixel of a scene, labelled or not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.sampling import Patches


def _silent(done: int, total: int) -> None:
    """No progress."""


def classify_scene(
    predict: Callable[[Tensor], Tensor],
    patches: Patches,
    height: int,
    width: int,
    batch_size: int = 512,
    progress: Callable[[int, int], None] = _silent,
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Class numbers [height, width], from 1, of all pixels; uint8, or uint16 above 255 classes.

    `predict` turns patches [N, 1, B, window, window] into class numbers from 0, [N]; it sees at
    most `batch_size` patches at a time, which bounds the memory. `progress` is told how many
    pixels are done and how many there are.
    """
    total = height * width
    classes = np.empty(total, np.uint16)
    progress(0, total)
    for start in range(0, total, batch_size):
        batch = torch.arange(start, min(start + batch_size, total))
        classes[batch.numpy()] = predict(patches.gather(batch)).cpu().numpy() + 1
        progress(int(batch[-1]) + 1, total)
    grid = classes.reshape(height, width)
    return grid.astype(np.uint8) if grid.max() <= 255 else grid
