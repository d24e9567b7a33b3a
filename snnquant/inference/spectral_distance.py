"""Distance of a pixel's spectrum from the training pixels: how far a network extrapolates."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

SHRINKAGE = 1e-3
"""Share of the mean variance that is added to every variance: more bands than pixels are no fault.
"""


@dataclass(frozen=True, eq=False)
class SpectralDistance:
    """Mahalanobis distance to the nearest class mean of the training pixels, over sqrt(B).

    Its unit is the root mean square distance of training pixels from their own class mean: 1 is
    typical, 3 is far outside.

    >>> spectra = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    >>> distance = SpectralDistance.of(spectra, np.zeros(500, int))
    >>> round(float(np.sqrt((distance(spectra) ** 2).mean())), 2)
    1.0
    """

    whitening: NDArray[np.float64]
    """[B, B] that gives spectra within-class covariance 1."""
    means: NDArray[np.float64]
    """Class means [K, B], whitened."""

    @classmethod
    def of(cls, spectra: NDArray[np.float32], classes: NDArray[np.integer]) -> Self:
        """Fit the distance.

        Args:
            spectra: Training pixels [N, B], scaled as the network sees them.
            classes: Their classes [N].
        """
        values = spectra.astype(np.float64)
        present, own = np.unique(classes, return_inverse=True)
        means = np.stack([values[own == k].mean(axis=0) for k in range(len(present))])
        residuals = values - means[own]
        covariance = residuals.T @ residuals / len(values)
        variances, axes = np.linalg.eigh(covariance)
        floor = SHRINKAGE * max(float(variances.mean()), sys.float_info.min)
        whitening = axes / np.sqrt(np.maximum(variances, 0) + floor)
        return cls(whitening, means @ whitening)

    def __call__(self, spectra: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distances [...] of spectra [..., B]."""
        bands = spectra.shape[-1]
        whitened = spectra.reshape(-1, bands) @ self.whitening
        nearest = cdist(whitened, self.means).min(axis=1) / np.sqrt(bands)
        found: NDArray[np.float32] = nearest.reshape(spectra.shape[:-1]).astype(np.float32)
        return found
