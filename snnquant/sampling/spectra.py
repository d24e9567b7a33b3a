"""Forms of a spectrum without its brightness, and within-class whitening."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snnquant.config.scaling_names import WITHIN_CLASS, forms_of
from snnquant.errors import InputError
from snnquant.scenes import Scene

Matrix = NDArray[np.float64]
FLAT = 1e-6
"""Standard deviation over the bands, in means of a spectrum, up to which it counts as flat."""
_LOWEST = 1e-3
"""Smallest value that a logarithm is taken of, in means of the training pixels."""


def prepare(cube: NDArray[np.float32], spectra: str, floor: float) -> NDArray[np.float32]:
    """Return the nonlinear part of the forms of each spectrum, side by side.

    Args:
        cube: Raw values, float32 [..., B].
        spectra: Forms, joined by +. raw: the values; snv: minus their mean over the bands, divided
            by their standard deviation (Barnes et al. 1989); log-derivative: their logarithm,
            whose slope the matrix of the normalisation takes.
        floor: Smallest value that a logarithm is taken of.

    Returns:
        Float32 [..., n B] for n forms; of raw spectra only the array itself.

    >>> prepare(np.array([1.0, 3.0], np.float32), "raw+snv", 0.0).tolist()
    [1.0, 3.0, -1.0, 1.0]
    """
    forms = [_form(cube, part, floor) for part in forms_of(spectra)]
    return forms[0] if len(forms) == 1 else np.concatenate(forms, axis=-1)


def _form(cube: NDArray[np.float32], part: str, floor: float) -> NDArray[np.float32]:
    if part == "raw":
        return cube
    if part == "log-derivative":
        logarithms: NDArray[np.float32] = np.log(np.maximum(cube, np.float32(floor)))
        return logarithms
    mean = cube.mean(axis=-1, keepdims=True)
    centred: NDArray[np.float32] = cube - mean
    spread = centred.std(axis=-1, keepdims=True)
    # A flat spectrum has no shape; what rounding leaves of it must not become one.
    centred /= np.where(spread > FLAT * np.abs(mean), spread, np.float32(1))
    return centred


def fit_spectra(
    scene: Scene, train_indices: NDArray[np.int64], spectra: str, shrinkage: float | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None, str, str, float]:
    """Fit the fields of a `Normalisation` of forms of the spectrum.

    Within-class whitening multiplies by S^(-1/2), the symmetric root, so that bands keep their
    order. S is the covariance of the training pixels about their class means plus `shrinkage` times
    its mean variance on the diagonal; what differs within a class, such as the light and the soil
    from field to field, loses its weight (within-class covariance normalisation, Hatch et al.
    2006). Each value is then divided by its standard deviation over the training pixels.

    Args:
        scene: The scene.
        train_indices: [N] flat indices of the training pixels.
        spectra: Forms, joined by +; each is whitened by itself.
        shrinkage: Share of the mean variance added to each variance; None only standardises.

    Returns:
        Mean and standard deviation [n B], matrix [n B, K], names of scaling and spectra, and the
        smallest value that a logarithm is taken of.

    Raises:
        InputError: The logarithm of training pixels that are not positive in the mean.
    """
    pixels = scene.cube.reshape(-1, scene.bands)[train_indices]
    classes = scene.labels.ravel()[train_indices]
    mean_value, floor = float(pixels.mean(dtype=np.float64)), 0.0
    if "log-derivative" in forms_of(spectra):
        if mean_value <= 0:
            found = f"found training pixels of mean {mean_value:.3g}"
            raise InputError(f"--spectra: {found}, expected above 0 for log-derivative")
        floor = float(np.float32(_LOWEST * mean_value))
    means, matrices = [], []
    for part in forms_of(spectra):
        values = _form(pixels, part, floor).astype(np.float64)
        means.append(values.mean(axis=0))
        matrices.append(_matrix(values - means[-1], classes, part, shrinkage))
    rows = np.cumsum([0] + [len(matrix) for matrix in matrices])
    columns = np.cumsum([0] + [matrix.shape[1] for matrix in matrices])
    whole = np.zeros((rows[-1], columns[-1]), np.float32)
    for i, matrix in enumerate(matrices):
        whole[rows[i] : rows[i + 1], columns[i] : columns[i + 1]] = matrix
    mean = np.concatenate(means).astype(np.float32)
    scaling = "standard" if shrinkage is None else f"{WITHIN_CLASS}:{shrinkage:g}"
    return mean, np.ones_like(mean), whole, scaling, spectra, floor


def _matrix(
    centred: Matrix, classes: NDArray[np.integer], part: str, shrinkage: float | None
) -> Matrix:
    """Return the matrix [B, K] of one form from its centred training values [N, B]."""
    bands = centred.shape[1]
    matrix = np.eye(bands)
    if part == "log-derivative" and bands > 1:
        matrix = np.diff(matrix, axis=0).T
    values = centred @ matrix
    if shrinkage is not None:
        root = _within_class_root(values, classes, shrinkage)
        matrix, values = matrix @ root, values @ root
    spread = values.std(axis=0)
    spread[spread == 0] = 1
    scaled: Matrix = matrix / spread
    return scaled


def _within_class_root(values: Matrix, classes: NDArray[np.integer], shrinkage: float) -> Matrix:
    """Return S^(-1/2), symmetric, of values [N, K] about their class means."""
    residuals = values.copy()
    for number in np.unique(classes):
        residuals[classes == number] -= values[classes == number].mean(axis=0)
    covariance = residuals.T @ residuals / len(residuals)
    added = shrinkage * (np.trace(covariance) / len(covariance) or 1.0)
    variances, axes = np.linalg.eigh(covariance)
    # Rounding leaves a variance of 0 slightly below it.
    roots = np.sqrt(np.maximum(variances, 0) + added)
    inverse_root: Matrix = (axes / roots) @ axes.T
    return inverse_root
