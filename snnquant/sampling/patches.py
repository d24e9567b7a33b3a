"""Normalised patches around pixels, gathered from one padded cube."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.errors import InputError
from snnquant.sampling.normalisation import Normalisation

CPU = torch.device("cpu")


def check_window(window: int, height: int, width: int) -> None:
    """Raise `InputError` unless `window` is odd, at least 1 and no larger than the scene."""
    if window < 1 or window % 2 == 0:
        raise InputError(f"--window: found {window}, expected an odd number of pixels")
    if window > min(height, width):
        limit = f"at most {min(height, width)} (the scene is {height}x{width})"
        raise InputError(f"--window: found {window}, expected {limit}")


class Patches:
    """Patches of `window` x `window` pixels around any pixel of a scene.

    The normalised cube is held once, padded by reflection so that border pixels have whole
    windows. The attribute `bands` is B, or K where the normalisation has K components.

    Args:
        cube: Raw values, float32 [H, W, B].
        window: Side of a patch in pixels, odd and no larger than the scene.
        normalisation: Applied to the whole cube.
        device: Holds the cube and the patches.

    Raises:
        InputError: The window is even or larger than the scene.

    >>> from snnquant.scenes import load_scene
    >>> scene = load_scene("synthetic:16x16x8")
    >>> normalisation = Normalisation.fit(scene, np.arange(100))
    >>> Patches(scene.cube, 5, normalisation).gather(np.array([0, 17, 255])).shape
    torch.Size([3, 1, 8, 5, 5])
    """

    def __init__(
        self,
        cube: NDArray[np.float32],
        window: int,
        normalisation: Normalisation,
        device: torch.device = CPU,
    ) -> None:
        self.height, self.width = cube.shape[:2]
        check_window(window, self.height, self.width)
        self.window = window
        margin = window // 2
        padding = ((margin, margin), (margin, margin), (0, 0))
        padded = np.pad(normalisation.apply(cube), padding, mode="reflect")
        self.bands = padded.shape[2]
        # Bands last: gathering copies one run of memory per pixel of a window.
        self._spectra = torch.from_numpy(padded).view(-1, self.bands).to(device)
        self._row_length = self.width + 2 * margin
        steps = torch.arange(window)
        self._offsets = (steps[:, None] * self._row_length + steps).ravel().to(device)

    def gather(self, indices: Tensor | NDArray[np.int64]) -> Tensor:
        """Gather the patches around pixels.

        Args:
            indices: [N] flat indices, row * width + column.

        Returns:
            Float32 [N, 1, bands, window, window], a copy.

        Raises:
            IndexError: An index lies outside the scene.
        """
        pixels = torch.as_tensor(indices)
        last = self.height * self.width - 1
        if len(pixels) and not 0 <= int(pixels.min()) <= int(pixels.max()) <= last:
            raise IndexError(f"pixel index outside 0..{last}")
        pixels = pixels.to(self._offsets.device)
        corners = pixels // self.width * self._row_length + pixels % self.width
        positions = (corners[:, None] + self._offsets).ravel()
        spectra = self._spectra.index_select(0, positions)
        patches = spectra.view(len(pixels), self.window**2, self.bands).transpose(1, 2)
        return patches.reshape(len(pixels), 1, self.bands, self.window, self.window)
