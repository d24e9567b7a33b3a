"""Scalings of the spectra: standard scores and others, and principal components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.scenes import Scene


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Scores per band, (value - mean) / std, optionally turned into principal components.

    Of a scaling other than `standard`, `mean` and `std` are whatever it subtracts and divides by;
    of an imported CNN they hold the normalisation inside it too.

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
    scaling: str = "standard"
    """Name of the scaling, as `--scaling` takes it."""

    @classmethod
    def fit(
        cls,
        scene: Scene,
        train_indices: NDArray[np.int64],
        components: int = 0,
        scaling: str = "standard",
    ) -> Normalisation:
        """Compute the statistics of only the training pixels; a constant band gets std 1.

        The minimum and the maximum of `minmax` and `minmax-band` are those of the whole cube, as
        in the code that trains on such data.

        Args:
            scene: The scene.
            train_indices: [N] flat indices (row * width + column) of the training pixels.
            components: Number K of principal components that replace the bands where B is larger;
                0 keeps the bands.
            scaling: `standard`, `none`, `minmax`, `minmax-band`, `divide:X`, `whiten`, or the path
                of a file that `read_scaling` reads.

        Returns:
            The normalisation.

        Raises:
            InputError: The file of a scaling cannot be read or has other bands.
        """
        spectra = scene.cube.reshape(-1, scene.bands)[train_indices].astype(np.float64)
        if scaling == "standard":
            mean, std = spectra.mean(axis=0).astype(np.float32), spectra.std(0).astype(np.float32)
            std[std == 0] = 1
        else:
            mean, std = _shift_and_scale(scene, scaling)
        reduces = 0 < components < scene.bands
        if scaling == "whiten" and not reduces:
            components = scene.bands
        elif not reduces:
            return cls(mean, std, scaling=scaling)
        if scaling != "standard":  # axes go through the mean, whatever was subtracted
            mean = spectra.mean(axis=0).astype(np.float32)
        scores = (spectra - mean) / std
        variances, axes = np.linalg.eigh(scores.T @ scores / len(scores))
        variances, axes = variances[::-1][:components], axes[:, ::-1][:, :components]
        # An axis may point either way: its largest entry is made positive.
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(components)])
        # Fewer training pixels than components leave some without any variance.
        deviations = np.sqrt(np.maximum(variances, 1e-12 * variances[0]))
        deviations[deviations == 0] = 1
        return cls(mean, std, (axes / deviations).astype(np.float32), scaling)

    def apply(self, cube: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a normalised copy of `cube` [..., B], or its principal components [..., K]."""
        scores: NDArray[np.float32] = cube - self.mean
        scores /= self.std
        return scores if self.components is None else scores @ self.components


def _shift_and_scale(scene: Scene, scaling: str) -> tuple[NDArray[np.float32], ...]:
    """Return what is subtracted from each band and what it is divided by, both [B]."""
    shift, scale = np.zeros(scene.bands), np.ones(scene.bands)
    if scaling.startswith("divide:"):
        scale = scale * float(scaling.removeprefix("divide:"))
    elif scaling in ("minmax", "minmax-band"):
        axes = (0, 1) if scaling == "minmax-band" else None
        low = scene.cube.min(axis=axes).astype(np.float64)
        shift, scale = shift + low, scale * (scene.cube.max(axis=axes) - low)
        scale[scale == 0] = 1
    elif scaling.endswith(".npz"):
        shift, scale = read_scaling(Path(scaling), scene.bands)
    return shift.astype(np.float32), scale.astype(np.float32)


PAIRS = (("mean", "std"), ("min", "max"))
"""Names of the two arrays of a scaling's file: what is subtracted, and the divisor or its end."""


def read_scaling(path: Path, bands: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read what a scaling subtracts from each band and what it divides by from an .npz file.

    Args:
        path: File of the arrays `mean` and `std`, or `min` and `max`, each of B numbers or of one.
        bands: Bands B of the scene.

    Returns:
        Both as [B].

    Raises:
        InputError: The file cannot be read, or its arrays do not fit.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "s.npz", min=[0, 10], max=[5, 30])
    ...     [array.tolist() for array in read_scaling(Path(folder) / "s.npz", 2)]
    [[0.0, 10.0], [5.0, 20.0]]
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: Mapping[str, Any] = {name: file[name] for name in file.files}
    except OSError as error:
        raise InputError(f"--scaling: {path}: {error.strerror or one_line(error)}") from None
    except Exception as error:  # damage leads numpy to any of them
        raise InputError(f"--scaling: {path}: not a file of arrays ({one_line(error)})") from None
    names = next((pair for pair in PAIRS if all(name in arrays for name in pair)), None)
    if names is None:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise InputError(f"--scaling: {path}: found {found}, expected mean and std, or min and max")
    values = []
    for name in names:
        array = arrays[name].squeeze()
        numbers = array.dtype.kind in "iuf" and array.shape in ((), (bands,))
        if not numbers or not np.isfinite(array).all():
            found = f"{array.dtype} of shape {array.shape}"
            expected = f"{bands} finite numbers, one per band, or one for all"
            raise InputError(f"--scaling: {path}: {name}: found {found}, expected {expected}")
        values.append(np.broadcast_to(array.astype(np.float64), (bands,)))
    shift, scale = values[0], values[1] - values[0] if names[1] == "max" else values[1]
    if not (scale > 0).all():
        raise InputError(f"--scaling: {path}: found a band without any spread, expected above 0")
    return shift, scale
