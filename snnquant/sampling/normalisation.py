"""Standard scores and principal components of the spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnquant.scenes import Scene


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Standard scores per band, (value - mean) / std, optionally reduced to principal components.

    >>> from snnquant.scenes import Scene
    >>> scene = Scene.from_arrays([[[1.0, 5.0], [3.0, 5.0], [9.0, 5.0]]], [[1, 1, 1]])
    >>> normalisation = Normalisation.fit(scene, np.array([0, 1]))
    >>> normalisation.mean.tolist(), normalisation.std.tolist()
    ([2.0, 5.0], [1.0, 1.0])
    >>> normalisation.apply(scene.cube)[0, :, 0].tolist()
    [-1.0, 1.0, 7.0]
    """

    mean: NDArray[np.float32]
    """[B]."""
    std: NDArray[np.float32]
    """[B], above 0."""
    components: NDArray[np.float32] | None = None
    """[B, K] whitened principal axes of the scores: each value has variance 1 in training."""

    @classmethod
    def fit(
        cls, scene: Scene, train_indices: NDArray[np.int64], components: int = 0
    ) -> Normalisation:
        """Compute the statistics of only the training pixels; a constant band gets std 1.

        Args:
            scene: The scene.
            train_indices: [N] flat indices (row * width + column) of the training pixels.
            components: Number K of principal components that replace the bands where B is larger;
                0 keeps the bands.

        Returns:
            The normalisation.
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
        """Return a normalised copy of `cube` [..., B], or its principal components [..., K]."""
        scores: NDArray[np.float32] = cube - self.mean
        scores /= self.std
        return scores if self.components is None else scores @ self.components
