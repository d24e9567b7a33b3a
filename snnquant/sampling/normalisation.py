"""Scalings of the spectra: standard scores, principal axes, within-class whitening and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from snnquant.config.scaling_names import forms_of, shrinkage_of
from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.sampling.pixel_grid import PixelGrid
from snnquant.sampling.spectra import fit_spectra, prepare
from snnquant.scenes import Scene


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Scores per band, (value - mean) / std, optionally times a matrix and rounded to a grid.

    The matrix turns scores into principal components, whitened bands or slopes of the spectrum. Of
    a scaling other than `standard`, `mean` and `std` are whatever it subtracts and divides by; of
    an imported CNN they hold the normalisation inside it too.

    >>> from snnquant.scenes import Scene
    >>> scene = Scene.from_arrays([[[1.0, 5.0], [3.0, 5.0], [9.0, 5.0]]], [[1, 1, 1]])
    >>> normalisation = Normalisation.fit(scene, np.array([0, 1]))
    >>> normalisation.mean.tolist(), normalisation.std.tolist()
    ([2.0, 5.0], [1.0, 1.0])
    >>> normalisation.apply(scene.cube)[0, :, 0].tolist()
    [-1.0, 1.0, 7.0]
    """

    mean: NDArray[np.float32]
    """[B], or [n B] for n forms of the spectrum side by side."""
    std: NDArray[np.float32]
    """[B] or [n B], above 0."""
    components: NDArray[np.float32] | None = None
    """[n B, K]: K values from the scores, each of variance 1 in training."""
    scaling: str = "standard"
    """Name of the scaling, as `--scaling` takes it."""
    spectra: str = "raw"
    """Forms of the spectrum, as `--spectra` takes them."""
    floor: float = 0.0
    """Smallest value that a logarithm is taken of."""
    grid: PixelGrid | None = None
    """Grid that the result is rounded to; None keeps floating point."""

    @property
    def bits(self) -> int:
        """Bits per value that the network receives; 32 for floating point."""
        return 32 if self.grid is None else self.grid.bits

    @classmethod
    def fit(
        cls,
        scene: Scene,
        train_indices: NDArray[np.int64],
        components: int = 0,
        scaling: str = "standard",
        spectra: str = "raw",
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
                of a file that `read_scaling` reads; also `within-class`, see `fit_spectra`.
            spectra: Forms of the spectrum: `raw`, `snv`, `log-derivative`, or several joined by +.

        Returns:
            The normalisation.

        Raises:
            InputError: The file of a scaling cannot be read or has other bands, or the options
                exclude each other.
        """
        shrinkage = shrinkage_of(scaling)
        if shrinkage is not None or forms_of(spectra) != ["raw"]:
            if 0 < components < scene.bands:
                found = f"{components} principal components"
                raise InputError(f"--components: found {found}, expected 0 beside {scaling}")
            if shrinkage is None and scaling != "standard":
                found = f"found {spectra} beside --scaling {scaling}"
                raise InputError(f"--spectra: {found}, expected standard or within-class")
            return cls(*fit_spectra(scene, train_indices, spectra, shrinkage))
        training = scene.cube.reshape(-1, scene.bands)[train_indices].astype(np.float64)
        if scaling == "standard":
            mean, std = training.mean(axis=0).astype(np.float32), training.std(0).astype(np.float32)
            std[std == 0] = 1
        else:
            mean, std = _shift_and_scale(scene, scaling)
        reduces = 0 < components < scene.bands
        if scaling == "whiten" and not reduces:
            components = scene.bands
        elif not reduces:
            return cls(mean, std, scaling=scaling)
        if scaling != "standard":  # axes go through the mean, whatever was subtracted
            mean = training.mean(axis=0).astype(np.float32)
        scores = (training - mean) / std
        variances, axes = np.linalg.eigh(scores.T @ scores / len(scores))
        variances, axes = variances[::-1][:components], axes[:, ::-1][:, :components]
        # An axis may point either way: its largest entry is made positive.
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(components)])
        # Fewer training pixels than components leave some without any variance.
        deviations = np.sqrt(np.maximum(variances, 1e-12 * variances[0]))
        deviations[deviations == 0] = 1
        return cls(mean, std, (axes / deviations).astype(np.float32), scaling)

    def on_grid(self, cube: NDArray[np.float32], train: NDArray[np.int64], bits: int) -> Self:
        """Return the normalisation with a grid of values fitted to the training pixels.

        The grid is that of a converter: one step for everything that the first layer receives, so
        that it computes whole codes times its integer weights. It comes after the matrix, because
        whitened spectra are small differences of bands.

        Args:
            cube: Raw values [H, W, B].
            train: [N] flat indices of the training pixels.
            bits: Bits per value; 32 is floating point. A grid of these bits is kept.

        >>> from snnquant.scenes import load_scene
        >>> scene = load_scene("synthetic:16x16x8")
        >>> normalisation = Normalisation.fit(scene, np.arange(100))
        >>> rounded = normalisation.on_grid(scene.cube, np.arange(100), bits=4)
        >>> rounded.bits, len(np.unique(rounded.apply(scene.cube))) <= 16
        (4, True)
        """
        if bits == self.bits:
            return self
        plain = replace(self, grid=None)
        if bits == 32:
            return plain
        values = plain.apply(cube.reshape(-1, cube.shape[-1])[train])
        return replace(plain, grid=PixelGrid.fit(values, bits))

    def without_matrix(self, cube: NDArray[np.float32], train: NDArray[np.int64]) -> Self:
        """Return standard scores of the same forms, for weights that have taken the matrix.

        Args:
            cube: Raw values [H, W, B].
            train: [N] flat indices of the training pixels.

        >>> from snnquant.scenes import load_scene
        >>> scene = load_scene("synthetic:16x16x8")
        >>> whitened = Normalisation.fit(scene, np.arange(100), scaling="within-class")
        >>> scores = whitened.without_matrix(scene.cube, np.arange(100))
        >>> scores.components is None, scores.apply(scene.cube).shape
        (True, (16, 16, 8))
        """
        pixels = cube.reshape(-1, cube.shape[-1])[train]
        values = prepare(pixels, self.spectra, self.floor).astype(np.float64)
        mean, std = values.mean(axis=0).astype(np.float32), values.std(axis=0).astype(np.float32)
        std[std == 0] = 1
        return replace(self, mean=mean, std=std, components=None, grid=None)

    def apply(self, cube: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a normalised copy of `cube` [..., B]: [..., B], or [..., K] with a matrix."""
        prepared = prepare(cube, self.spectra, self.floor)
        scores: NDArray[np.float32] = prepared - self.mean
        scores /= self.std
        if self.grid is None:
            return scores if self.components is None else scores @ self.components
        if self.components is not None:
            # The order of a float32 sum depends on the shape, and a code may depend on that.
            scores = (scores.astype(np.float64) @ self.components).astype(np.float32)
        return self.grid.apply(scores)


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
