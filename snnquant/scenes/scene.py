"""The scene: a hyperspectral cube, its labels and their meaning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnquant.errors import InputError
from snnquant.scenes.colours import COLOUR
from snnquant.scenes.georeference import Georeference

_ROWS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Scene:
    """One hyperspectral scene, checked when built.

    Build it with `from_arrays`, or read it with `load_scene`.

    Raises:
        InputError: A field does not fit the others; names the scene and the field.

    >>> import numpy as np
    >>> scene = Scene.from_arrays(np.ones((2, 3, 4)), [[0, 1, 1], [2, 2, 0]])
    >>> scene.height, scene.width, scene.bands, scene.classes
    (2, 3, 4, 2)
    """

    name: str
    cube: NDArray[np.float32]
    """[H, W, B], finite; reflectance where the source states a scale factor, else its units.
    Pixels without data have the values of the nearest pixel with data."""
    labels: NDArray[np.int64]
    """[H, W]: 0 unlabelled, k the class `class_names[k - 1]`; every class has a pixel. Pixels
    without data are unlabelled."""
    class_names: tuple[str, ...]
    """K names, all different."""
    colours: tuple[str, ...]
    """K colours "#rrggbb" for maps."""
    wavelengths_nm: NDArray[np.float64] | None
    """[B] centres of the bands in nanometres, where known."""
    digest: str
    """sha256 of what defines the scene (data, labels and classes); checkpoints store it."""
    geo: Georeference | None = None
    """Place on Earth, where known."""
    valid: NDArray[np.bool_] = field(default_factory=lambda: np.ones((0, 0), bool))
    """[H, W]: False where a pixel has no data; True everywhere by default."""
    fwhm_nm: NDArray[np.float64] | None = None
    """[B] full widths of the bands at half maximum in nanometres, where known."""
    kept_bands: NDArray[np.bool_] | None = None
    """Of the file's bands, True for the B of the cube; None: all."""
    default_bands: tuple[int, ...] | None = None
    """Bands to show as red, green and blue (or one as grey), from 0, where known."""
    nodata: float | None = None
    """Value of pixels without data in the source, before scaling, where it has one."""
    scaling: str | None = None
    """Scaling that runs use where `--scaling` is auto; None: theirs."""

    def __post_init__(self) -> None:
        if self.valid.size == 0 and self.cube.ndim == 3:
            object.__setattr__(self, "valid", np.ones(self.cube.shape[:2], bool))
        self._check_shapes()
        self._check_classes()
        self._check_wavelengths()
        self._check_finite()

    @classmethod
    def from_arrays(
        cls,
        cube: ArrayLike,
        labels: ArrayLike,
        class_names: Sequence[str] | None = None,
        wavelengths_nm: ArrayLike | None = None,
        name: str = "arrays",
        colours: Sequence[str] | None = None,
        nodata: float | None = None,
    ) -> Scene:
        """Build a scene from arrays; they are copied.

        The distinct class numbers in `labels`, in rising order, become the classes 1 to K. So the
        numbers 3 and 7 become the classes 1 and 2, and the first of `class_names` belongs to 3.

        Args:
            cube: [H, W, B] integers or real numbers; kept as float32. A pixel with a value that is
                NaN or infinite has no data.
            labels: [H, W] class numbers, 0 where a pixel has none; whole numbers stored as floats
                are accepted.
            class_names: Names of the K classes, in the order of their numbers; "class 3" for the
                number 3 if left out.
            wavelengths_nm: [B] centres of the bands in nanometres, if known.
            name: Name of the scene in messages, tables and pictures.
            colours: Colours of the K classes on maps, "#rrggbb"; from a palette if left out.
            nodata: Value that marks pixels without data, such as -9999: in any band, the value 0
                in all bands.

        Returns:
            The scene, checked. Its pixels without data are unlabelled and False in `valid`.

        Raises:
            InputError: An argument does not fit; names it, and the place of a wrong value.

        >>> import numpy as np
        >>> cube = np.random.default_rng(0).random((2, 3, 4))
        >>> scene = Scene.from_arrays(cube, [[0, 3, 3], [7, 7, 0]], ["maize", "barley"])
        >>> scene.labels.tolist(), scene.class_names
        ([[0, 1, 1], [2, 2, 0]], ('maize', 'barley'))
        """
        from snnquant.scenes.arrays import scene_from_arrays

        return scene_from_arrays(cube, labels, class_names, wavelengths_nm, name, colours, nodata)

    def without_small_classes(self, pixels: int) -> Scene:
        """Return the scene without its classes of fewer than `pixels` pixels.

        Args:
            pixels: Smallest number of pixels that a class keeps.

        Returns:
            The scene itself where all classes are large enough; otherwise one whose other classes
            are renumbered, and the pixels of the small ones unlabelled.

        Raises:
            InputError: No class is large enough.

        >>> scene = Scene.from_arrays(np.ones((1, 4, 2)), [[3, 5, 5, 5]])
        >>> scene.without_small_classes(2).class_names
        ('class 5',)
        """
        counts = np.bincount(self.labels.ravel(), minlength=self.classes + 1)[1:]
        large = np.flatnonzero(counts >= pixels)
        if len(large) == self.classes:
            return self
        found = f"at most {counts.max()} pixels per class"
        self._require(len(large) > 0, "labels", found, f"a class of {pixels} or more")
        numbers = np.zeros(self.classes + 1, np.int64)
        numbers[large + 1] = np.arange(1, len(large) + 1)
        names = tuple(self.class_names[index] for index in large)
        text = json.dumps([self.digest, names])
        return replace(
            self,
            labels=numbers[self.labels],
            class_names=names,
            colours=tuple(self.colours[index] for index in large),
            digest=hashlib.sha256(text.encode()).hexdigest(),
        )

    def save(self, path: Path | str) -> None:
        """Write the scene as one .npz file, without pickles, whole or not at all.

        Args:
            path: File to write; missing folders are created, an existing file is replaced.

        Raises:
            InputError: The file cannot be written.

        >>> import tempfile
        >>> import numpy as np
        >>> scene = Scene.from_arrays(np.ones((2, 3, 4)), [[0, 1, 1], [2, 2, 0]], name="field")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     scene.save(f"{folder}/field.npz")
        ...     Scene.load(f"{folder}/field.npz").name
        'field'
        """
        from snnquant.scenes.arrays import save_scene

        save_scene(self, Path(path))

    @classmethod
    def load(cls, path: Path | str) -> Scene:
        """Read a scene that `save` wrote.

        Args:
            path: The .npz file.

        Returns:
            The scene, its digest included.

        Raises:
            InputError: The file is missing, damaged, or no saved scene.
        """
        from snnquant.scenes.arrays import load_saved_scene

        return load_saved_scene(Path(path))

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
            f"the cube's rows and columns, {cube.shape[:2]}",
        )
        self._require(labels.dtype == np.int64, "labels", labels.dtype, "int64")
        valid = self.valid
        sound = valid.shape == cube.shape[:2] and valid.dtype == bool
        self._require(
            sound, "valid", f"{valid.dtype} of shape {valid.shape}", "bool, rows x columns"
        )
        lost = int(np.count_nonzero(labels[~valid]))
        self._require(not lost, "labels", f"{lost} pixels without data", "0 (unlabelled) there")

    def _check_classes(self) -> None:
        names, colours = self.class_names, self.colours
        self._require(len(names) > 0, "class_names", "none", "at least one class")
        texts = all(isinstance(name, str) and name for name in names)
        self._require(texts, "class_names", names, "texts that are not empty")
        self._require(len(set(names)) == len(names), "class_names", names, "different names")
        per_class = f"{len(names)}, one per class"
        self._require(len(colours) == len(names), "colours", len(colours), per_class)
        for colour in colours:
            sound = isinstance(colour, str) and COLOUR.fullmatch(colour) is not None
            self._require(sound, "colours", colour, 'the form "#rrggbb"')
        lowest, highest = int(self.labels.min()), int(self.labels.max())
        self._require(lowest >= 0, "labels", lowest, "0 (unlabelled) or a class number")
        self._require(
            highest <= len(names), "labels", highest, f"at most {len(names)}, the classes"
        )
        counts = np.bincount(self.labels.ravel(), minlength=len(names) + 1)[1:]
        empty = [name for name, count in zip(names, counts, strict=True) if count == 0]
        found = f"no pixel of {', '.join(empty)}"
        found += "" if self.valid.all() else " that has data"
        self._require(not empty, "labels", found, "one of every class")

    def _check_wavelengths(self) -> None:
        for name in ("wavelengths_nm", "fwhm_nm"):
            waves = getattr(self, name)
            if waves is None:
                continue
            expected = f"one for each of the {self.bands} bands"
            self._require(waves.shape == (self.bands,), name, f"shape {waves.shape}", expected)
            sound = bool(np.isfinite(waves).all() and (waves > 0).all())
            self._require(sound, name, "a value that is not finite and positive", "nanometres")

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
            found = f"{bad} NaN or infinite values, the first at {where}"
            self._require(False, "cube", found, "finite values")


@dataclass(frozen=True, eq=False)
class FixedMask:
    """A published split of a scene: training and test pixels by their raw class numbers.

    >>> import numpy as np
    >>> FixedMask(train=np.array([[1, 0], [2, 0]]), test=None).train.shape
    (2, 2)
    """

    train: NDArray[np.int64]
    """[H, W]: raw class number of a training pixel (the scene may number otherwise) or 0."""
    test: NDArray[np.int64] | None
    """[H, W]: the same for test pixels; None where every other labelled pixel tests."""
