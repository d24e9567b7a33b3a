"""The scene: a hyperspectral cube, its labels and what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Scene:
    """One hyperspectral scene, checked when built.

    Raises `InputError`, naming the scene and the field, when a field does not fit the others.
    """

    name: str
    cube: NDArray[np.float32]
    """[H, W, B], finite, in the units of the source."""
    labels: NDArray[np.int64]
    """[H, W]: 0 unlabelled, k the class `class_names[k - 1]`; every class has a pixel."""
    class_names: tuple[str, ...]
    """K names, all different."""
    colours: tuple[str, ...]
    """K colours "#rrggbb" for maps."""
    wavelengths_nm: NDArray[np.float64] | None
    """[B] centres of the bands in nanometres, where known."""
    digest: str
    """sha256 of what defines the scene (card and data); checkpoints store it."""

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_classes()
        self._check_wavelengths()
        self._check_finite()

    @property
    def height(self) -> int:
        """Rows H."""
        return int(self.cube.shape[0])

    @property
    def width(self) -> int:
        """Columns W."""
        return int(self.cube.shape[1])

    @property
    def bands(self) -> int:
        """Spectral bands B."""
        return int(self.cube.shape[2])

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return len(self.class_names)

    def _require(self, condition: bool, field: str, found: object, expected: str) -> None:
        if not condition:
            raise InputError(f"scene {self.name}: {field}: found {found}, expected {expected}")

    def _check_shapes(self) -> None:
        cube, labels = self.cube, self.labels
        self._require(cube.ndim == 3, "cube", f"shape {cube.shape}", "rows x columns x bands")
        self._require(cube.size > 0, "cube", f"shape {cube.shape}", "at least one pixel and band")
        self._require(cube.dtype == np.float32, "cube", cube.dtype, "float32")
        self._require(
            labels.shape == cube.shape[:2],
            "labels",
            f"shape {labels.shape}",
            f"the cube's rows, columns, {cube.shape[:2]}",
        )
        self._require(labels.dtype == np.int64, "labels", labels.dtype, "int64")

    def _check_classes(self) -> None:
        names = self.class_names
        self._require(len(names) > 0, "class_names", "none", "at least one class")
        self._require(len(set(names)) == len(names), "class_names", names, "different names")
        self._require(
            len(self.colours) == len(names),
            "colours",
            len(self.colours),
            f"{len(names)}, one a class",
        )
        for colour in self.colours:
            self._require(bool(_COLOUR.fullmatch(colour)), "colours", colour, 'the form "#rrggbb"')
        lowest, highest = int(self.labels.min()), int(self.labels.max())
        self._require(lowest >= 0, "labels", lowest, "0 (unlabelled) or a class number")
        self._require(
            highest <= len(names), "labels", highest, f"at most {len(names)}, the classes"
        )
        counts = np.bincount(self.labels.ravel(), minlength=len(names) + 1)[1:]
        empty = [name for name, count in zip(names, counts, strict=True) if count == 0]
        self._require(not empty, "labels", f"no pixel of {', '.join(empty)}", "one of every class")

    def _check_wavelengths(self) -> None:
        waves = self.wavelengths_nm
        if waves is None:
            return
        self._require(
            waves.shape == (self.bands,),
            "wavelengths_nm",
            f"shape {waves.shape}",
            f"one for each of the {self.bands} bands",
        )
        self._require(
            bool(np.isfinite(waves).all() and (waves > 0).all()),
            "wavelengths_nm",
            "a value that is not finite and positive",
            "nanometres",
        )

    def _check_finite(self) -> None:
        # By blocks of rows: a mask of the whole cube would cost a quarter of the cube's memory.
        bad = 0
        first: tuple[int, ...] = ()
        for row in range(0, self.height, _ROWS_AT_ONCE):
            finite = np.isfinite(self.cube[row : row + _ROWS_AT_ONCE])
            if finite.all():
                continue
            if not bad:
                r, c, b = np.argwhere(~finite)[0].tolist()
                first = (row + r, c, b)
            bad += finite.size - int(np.count_nonzero(finite))
        if bad:
            where = "row {}, column {}, band {}".format(*first)
            self._require(
                False,
                "cube",
                f"{bad} NaN or infinite values, the first at {where}",
                "finite values",
            )


@dataclass(frozen=True, eq=False)
class FixedMask:
    """A published split of a scene: training and test pixels by their raw class numbers."""

    train: NDArray[np.int64]
    """[H, W]: raw class number of a training pixel (the scene may number otherwise) or 0."""
    test: NDArray[np.int64] | None
    """[H, W]: the same for test pixels; none: every other labelled pixel is for testing."""
