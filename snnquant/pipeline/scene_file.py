"""A scene built in Python, stored in its run folder."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.scenes import Scene

SCENE_FILE = "scene.npz"
"""Name of the file, and `scene` in the configuration of a run that has it."""


def write_scene(scene: Scene, path: Path) -> None:
    """Write a scene as an npz file without pickles, whole or not at all.

    Raises:
        InputError: If the file cannot be written.
    """
    arrays = {
        "name": np.array(scene.name),
        "cube": scene.cube,
        "labels": scene.labels,
        "class_names": np.array(scene.class_names, np.str_),
        "colours": np.array(scene.colours, np.str_),
        "digest": np.array(scene.digest),
    }
    if scene.wavelengths_nm is not None:
        arrays["wavelengths_nm"] = scene.wavelengths_nm
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_scene(path: Path) -> Scene:
    """Read what `write_scene` wrote.

    Raises:
        InputError: For a file that is missing or damaged, and for arrays that make no scene.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return Scene(
                name=str(file["name"]),
                cube=file["cube"],
                labels=file["labels"],
                class_names=tuple(str(name) for name in file["class_names"]),
                colours=tuple(str(colour) for colour in file["colours"]),
                wavelengths_nm=file.get("wavelengths_nm"),
                digest=str(file["digest"]),
            )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the scene of a run") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,  # a zip file in a compression that Python does not know
    ):
        raise InputError(f"{path}: damaged, expected the scene of a run (.npz)") from None
