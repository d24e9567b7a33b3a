"""Standard scores and principal components of the spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnquant.scenes import Scene


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Standard score a band, (value - mean) / std, and principal components of these if asked.

    `mean` and `std` are float32 [B], `components` float32 [B, K] or None: the scores' whitened
    principal axes, so that each of the K values has variance 1 on the training pixels.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    components: NDArray[np.float32] | None = None

    @classmethod
    def fit(
        cls, scene: Scene, train_indices: NDArray[np.int64], components: int = 0
    ) -> Normalisation:
        """Statistics of the training pixels (flat indices) alone; a constant band gets std 1.

        `components` principal components stand in for the bands where these are more; 0 keeps them.
        """
        spectra = scene.cube.reshape(-1, scene.bands)[train_indices].astype(np.float64)
        mean, std = spectra.mean(axis=0).astype(np.float32), spectra.std(axis=0).astype(np.float32)
        std[std == 0] = 1
        if not 0 < components < scene.bands:
            return cls(mean, std)
        scores = (spectra - mean) / std
        variances, axes = np.linalg.eigh(scores.T @ scores / len(scores))
        variances, axes = variances[::-1][:components], axes[:, ::-1][:, :components]
        # An axis may point either way: its largest entry is made positive.
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(components)])
        # Fewer training pixels than components leave some without any variance.
        deviations = np.sqrt(np.maximum(variances, 1e-12 * variances[0]))
        deviations[deviations == 0] = 1
        return cls(mean, std, (axes / deviations).astype(np.float32))

    def apply(self, cube: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised copy of `cube` [..., B], or its principal components [..., K]."""
        scores: NDArray[np.float32] = cube - self.mean
        scores /= self.std
        return scores if self.components is None else scores @ self.components
