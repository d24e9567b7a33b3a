"""Scenes out of arrays, and scenes saved as one .npz file."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnquant.errors import InputError
from snnquant.io import one_line, replacing
from snnquant.scenes.colours import default_colour
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.pixels import PixelRules, count_remark, read_pixels
from snnquant.scenes.scene import Scene

_FORMAT = "snnquant scene 1"
NPZ_DAMAGE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
    NotImplementedError,  # a zip file in a compression that Python does not know
)
"""Exceptions of numpy on a damaged .npz file, or one that lacks an array."""


def scene_from_arrays(
    cube: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str] | None,
    wavelengths_nm: ArrayLike | None,
    name: str,
    colours: Sequence[str] | None,
    nodata: float | None,
) -> Scene:
    """Build a scene; see `Scene.from_arrays`."""
    where = f"scene {name}"
    values, valid = _pixels(cube, nodata, where)
    numbers, order = _renumbered(_class_numbers(labels, where))
    if numbers.shape == valid.shape:  # otherwise the scene says so
        count_remark(where, valid, int(np.count_nonzero(numbers[~valid])))
        numbers[~valid] = 0
    names = _texts(class_names, f"{where}: class_names")
    if names is None:
        names = tuple(f"class {number}" for number in order)
    elif len(names) != len(order):
        listed = ", ".join(str(number) for number in order[:20])
        raise InputError(
            f"{where}: class_names: found {len(names)} names, expected {len(order)}, one for each "
            f"class number in labels ({listed}{', ...' if len(order) > 20 else ''})"
        )
    given = _texts(colours, f"{where}: colours")
    return Scene(
        name=name,
        cube=values,
        labels=numbers,
        class_names=names,
        colours=given or tuple(default_colour(index) for index in range(len(names))),
        wavelengths_nm=None if wavelengths_nm is None else _wavelengths(wavelengths_nm, where),
        digest=_digest(values, numbers, names, valid),
        valid=valid,
        nodata=nodata,
    )


def save_scene(scene: Scene, path: Path) -> None:
    """Write a scene; see `Scene.save`."""
    waves, more = scene.wavelengths_nm, _optional_arrays(scene)
    # Not compressed: spectra shrink little, and the time would be spent at every run.
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            format=np.array(_FORMAT),
            name=np.array(scene.name),
            cube=scene.cube,
            labels=scene.labels,
            class_names=np.array(scene.class_names),
            colours=np.array(scene.colours),
            wavelengths_nm=np.empty(0) if waves is None else waves,
            digest=np.array(scene.digest),
            **more,
        )


def _optional_arrays(scene: Scene) -> dict[str, Any]:
    """Return the arrays that only some scenes have."""
    arrays: dict[str, Any] = {"valid": None if scene.valid.all() else scene.valid}
    arrays |= {name: getattr(scene, name) for name in ("fwhm_nm", "kept_bands")}
    if scene.default_bands is not None:
        arrays["default_bands"] = np.array(scene.default_bands)
    if scene.nodata is not None:
        arrays["nodata"] = np.array(scene.nodata, np.float64)
    if scene.scaling is not None:
        arrays["scaling"] = np.array(scene.scaling)
    if scene.geo is not None:
        arrays |= {"geo": np.array(scene.geo.to_json()), "geo_lookup": scene.geo.lookup}
    return {name: array for name, array in arrays.items() if array is not None}


def load_saved_scene(path: Path) -> Scene:
    """Read a scene; see `Scene.load`."""
    expected = "expected a scene that Scene.save wrote (.npz)"
    if not path.is_file():
        raise InputError(f"{path}: found no such file, {expected}")
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["format"]) != _FORMAT:
                raise InputError(f"{path}: found format {str(file['format'])!r}, {expected}")
            waves, held = file["wavelengths_nm"], set(file.files)
            more: dict[str, Any] = {
                name: file[name] for name in ("valid", "fwhm_nm", "kept_bands") if name in held
            }
            if "default_bands" in held:
                more["default_bands"] = tuple(file["default_bands"].tolist())
            if "geo" in held:
                lookup = file["geo_lookup"] if "geo_lookup" in held else None
                more["geo"] = Georeference.from_json(str(file["geo"]), lookup)
            if "nodata" in held:
                more["nodata"] = float(file["nodata"])
            if "scaling" in held:
                more["scaling"] = str(file["scaling"])
            return Scene(
                name=str(file["name"]),
                cube=file["cube"],
                labels=file["labels"],
                class_names=tuple(str(name) for name in file["class_names"]),
                colours=tuple(str(colour) for colour in file["colours"]),
                wavelengths_nm=waves if waves.size else None,
                digest=str(file["digest"]),
                **more,
            )
    except InputError as error:
        message = str(error)
        raise InputError(message if str(path) in message else f"{path}: {message}") from error
    except NPZ_DAMAGE as error:
        raise InputError(f"{path}: found damage ({one_line(error)}), {expected}") from error


def _pixels(
    cube: ArrayLike, nodata: float | None, where: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    raw = _array(cube, f"{where}: cube")
    if raw.dtype.kind not in "iuf":
        raise InputError(f"{where}: cube: found {raw.dtype} values, expected real numbers")
    if raw.ndim != 3 or raw.size == 0:  # the scene says so
        return np.array(raw, np.float32), np.ones(raw.shape[:2], bool)
    found = read_pixels(raw, PixelRules(nodata=nodata), f"{where}: cube", drop_empty=False)
    return found.cube, found.valid


def _class_numbers(labels: ArrayLike, where: str) -> NDArray[np.int64]:
    raw = _array(labels, f"{where}: labels")
    fail = f"{where}: labels: found"
    if raw.dtype.kind not in "iuf":
        raise InputError(f"{fail} {raw.dtype} values, expected integers")
    if raw.ndim != 2:
        raise InputError(f"{fail} shape {raw.shape}, expected rows x columns")
    # Whole floats pass: MATLAB's default type. Their range is that of exact integers.
    strange = (raw < 0) | (raw > 2**53) | (raw != np.trunc(raw))
    if strange.any():
        row, column = np.argwhere(strange)[0].tolist()
        raise InputError(
            f"{fail} {raw[row, column]} at row {row}, column {column}, expected class numbers "
            "(0 marks unlabelled pixels)"
        )
    if not raw.any():
        raise InputError(f"{fail} no labelled pixel, expected class numbers above 0")
    return raw.astype(np.int64)


def _renumbered(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """Return labels 0..K, and the K class numbers that they stand for."""
    order = np.unique(numbers[numbers > 0])
    labels = np.searchsorted(np.concatenate([[0], order]), numbers)
    return labels.astype(np.int64), order.tolist()


def _texts(values: Sequence[str] | None, where: str) -> tuple[str, ...] | None:
    if values is None:
        return None
    # A text is itself a sequence of texts, of one letter each.
    if isinstance(values, str):
        raise InputError(f"{where}: found the text {values!r}, expected a list of texts")
    return tuple(str(value) if isinstance(value, np.str_) else value for value in values)


def _wavelengths(values: ArrayLike, where: str) -> NDArray[np.float64]:
    raw = _array(values, f"{where}: wavelengths_nm")
    if raw.dtype.kind not in "iuf":
        raise InputError(f"{where}: wavelengths_nm: found {raw.dtype}, expected nanometres")
    return np.array(raw, dtype=np.float64)


def _array(values: ArrayLike, where: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # nested lists of unequal lengths, for one
        raise InputError(f"{where}: found {one_line(error)}, expected an array") from error


def _digest(
    cube: NDArray[np.float32],
    labels: NDArray[np.int64],
    names: tuple[str, ...],
    valid: NDArray[np.bool_],
) -> str:
    """Hash pixels, labels and class names, not the scene's name, colours or wavelengths."""
    parts = hashlib.sha256(json.dumps([_FORMAT, list(names), list(cube.shape)]).encode())
    parts.update(labels.astype("<i8").tobytes())
    for row in cube:  # by rows: the bytes of the whole cube would be a second copy
        parts.update(row.astype("<f4").tobytes())
    if not valid.all():
        parts.update(np.packbits(valid).tobytes())
    return parts.hexdigest()
