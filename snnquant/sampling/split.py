"""The pixels of a run, and two measures of the information in their positions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree

from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.scenes.arrays import NPZ_DAMAGE

_SETS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test pixels: three sorted, disjoint sets of flat indices.

    Raises:
        InputError: A set is unsorted, negative or overlaps another, or training is empty, or test
            where the protocol is not "all".

    >>> train, val, test = (np.array(pixels) for pixels in ([0, 1], [2], [3, 9]))
    >>> split = Split(train, val, test, protocol="random", seed=0)
    >>> split.leakage(window=3, width=4)  # pixel 3 lies beside 2, pixel 9 two rows below
    0.5
    """

    train: NDArray[np.int64]
    """[N] flat indices, row * width + column."""
    val: NDArray[np.int64]
    """[M] the same."""
    test: NDArray[np.int64]
    """[L] the same."""
    protocol: str
    """random, blocks or mask; all: every labelled pixel trains or validates, and none tests."""
    seed: int
    notes: tuple[str, ...] = ()
    """Remarks for readers of the score, such as an untested class; not part of the digest."""

    def __post_init__(self) -> None:
        for name in _SETS:
            pixels = getattr(self, name)
            if pixels.ndim != 1 or pixels.dtype != np.int64:
                found = f"{pixels.ndim} dimensions of {pixels.dtype}"
                raise InputError(f"split {name}: found {found}, expected 1 dimension of int64")
            if len(pixels) and (pixels[0] < 0 or (np.diff(pixels) <= 0).any()):
                raise InputError(f"split {name}: expected pixel indices, rising, from 0 up")
        for name in ("train",) if self.protocol == "all" else ("train", "test"):
            if not len(getattr(self, name)):
                raise InputError(f"split {name}: found no pixel, expected at least 1")
        everything = np.concatenate([self.train, self.val, self.test])
        shared = len(everything) - len(np.unique(everything))
        if shared:
            raise InputError(f"split: found {shared} pixels in more than one set, expected none")

    def leakage(self, window: int, width: int) -> float:
        """Return the share (0..1) of test pixels with a training or validation pixel in the window.

        Args:
            window: Side of the patch in pixels, odd.
            width: Columns of the scene.

        Returns:
            0 where no test patch sees a training or validation pixel, 1 where all do.
        """
        if not len(self.test):
            raise InputError("split test: found no pixel, expected at least 1")
        pixels = max(int(s[-1]) for s in (self.train, self.val, self.test) if len(s)) + 1
        seen = np.zeros(-(-pixels // width) * width, np.uint8)
        seen[self.train] = 1
        seen[self.val] = 1
        near = maximum_filter(seen.reshape(-1, width), size=window, mode="constant", cval=0)
        return float(near.ravel()[self.test].mean())

    @property
    def digest(self) -> str:
        """The sha256 of protocol, seed and the three sets, the same on every machine."""
        parts = hashlib.sha256(f"{self.protocol} {self.seed}".encode())
        for name in _SETS:
            pixels = getattr(self, name)
            parts.update(f" {name} {len(pixels)} ".encode())
            parts.update(pixels.astype("<i8").tobytes())
        return parts.hexdigest()

    def save(self, path: Path | str) -> None:
        """Write an .npz without pickles, whole or not at all; raise `InputError` if that fails."""
        arrays = {name: getattr(self, name) for name in _SETS}
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                **arrays,
                protocol=np.array(self.protocol),
                seed=np.array(str(self.seed)),
                notes=np.array(self.notes, dtype=np.str_),
            )

    @classmethod
    def load(cls, path: Path | str) -> Split:
        """Read a split that `save` wrote; raise `InputError` that names the file and its fault."""
        try:
            with np.load(path, allow_pickle=False) as file:
                train, val, test = (file[name] for name in _SETS)
                notes = tuple(str(note) for note in file["notes"])
                return cls(train, val, test, str(file["protocol"]), int(str(file["seed"])), notes)
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file, expected a saved split (.npz)") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except NPZ_DAMAGE as error:
            raise InputError(f"{path}: damaged or not a saved split (.npz)") from error


def coordinates_only_accuracy(split: Split, labels: NDArray[np.integer]) -> float:
    """Return the overall accuracy of a classifier that sees only a test pixel's row and column.

    It answers with the label of the nearest (Euclidean) training pixel; ties go to the smaller
    row, then the smaller column.

    Args:
        split: Training and test pixels.
        labels: [H, W] class numbers of the scene.

    Returns:
        Accuracy, 0 to 1: the part of a score that needs no spectra.

    >>> pixels = np.arange(8)
    >>> split = Split(pixels[::2], pixels[:0], pixels[1::2], "random", 0)
    >>> coordinates_only_accuracy(split, np.array([[1, 1, 1, 1], [2, 2, 2, 2]]))
    1.0
    """
    found = nearest_labels(split, labels)
    return float((found == labels.ravel()[split.test]).mean())


def nearest_labels(split: Split, labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the label [L] of the training pixel nearest to each test pixel.

    Distance, ties and arguments are those of `coordinates_only_accuracy`.
    """
    height, width = labels.shape
    flat = labels.ravel()
    # Squared distances are integers, so a shift of the query too small to bridge a gap of 1
    # decides only ties; by rows first, because the column's part is smaller than any row's.
    shift_row = 1 / (8 * height)
    shift = np.array([shift_row, shift_row / (4 * width)])
    train = np.stack(np.divmod(split.train, width), axis=1)
    test = np.stack(np.divmod(split.test, width), axis=1) - shift
    _, nearest = cKDTree(train).query(test)
    found: NDArray[np.integer] = flat[split.train[nearest]]
    return found
