"""Scenes, and the masks published with them, by name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.card import Card, DataFile
from snnquant.scenes.card_rules import LabelRules
from snnquant.scenes.cube_file import read_cube
from snnquant.scenes.drawn_labels import Grid
from snnquant.scenes.known import SAVED, SYNTHETIC, load_card
from snnquant.scenes.labels import GAP, read_class_numbers, read_labels
from snnquant.scenes.locate import obtain_file
from snnquant.scenes.pixels import count_remark
from snnquant.scenes.scene import FixedMask, Scene
from snnquant.scenes.synthetic import synthetic_scene


def load_scene(name: str | Path | Card) -> Scene:
    """Load a scene by name or path.

    Args:
        name: A known scene's name, a card's path ending in ".toml", the path of a file that
            `Scene.save` wrote, ending in ".npz", or "synthetic:HxWxB[:SEED[:LIGHT]]"; or a card
            that was read before. Files with an address are downloaded on first use.

    Returns:
        The scene: cube float32 [H, W, B], labels int64 [H, W], class names, colours, wavelengths.

    Raises:
        InputError: Names the card or file, what was found and what was expected.

    >>> scene = load_scene("synthetic:16x16x8")
    >>> scene.cube.shape, scene.labels.shape
    ((16, 16, 8), (16, 16))
    """
    if not isinstance(name, Card):
        name = str(name)
        if name.startswith(SYNTHETIC):
            return synthetic_scene(name)
        if name.endswith(SAVED):
            return Scene.load(name)
    card = name if isinstance(name, Card) else load_card(name)
    cube_path, cube_digest = obtain_file(card, card.cube)
    labels_path, labels_digest = obtain_file(card, card.labels)
    found = read_cube(card, cube_path)
    rows, columns = found.cube.shape[:2]
    labels = read_labels(card, labels_path, Grid(rows, columns, found.geo))
    if labels.shape != found.cube.shape[:2]:
        raise InputError(
            f"{labels_path}: found {labels.shape[0]} x {labels.shape[1]} labels, expected "
            f"{found.cube.shape[0]} x {found.cube.shape[1]} as in {cube_path}"
        )
    lost = int(np.count_nonzero(labels[~found.valid]))
    count_remark(str(cube_path), found.valid, lost)
    labels[~found.valid] = 0
    try:
        return Scene(
            name=card.name,
            cube=found.cube,
            labels=labels,
            class_names=tuple(entry.name for entry in card.classes),
            colours=tuple(entry.colour for entry in card.classes),
            wavelengths_nm=found.wavelengths_nm,
            digest=_scene_digest(card, cube_digest, labels_digest, found.applied),
            geo=found.geo,
            valid=found.valid,
            fwhm_nm=found.fwhm_nm,
            kept_bands=found.kept,
            default_bands=found.default_bands,
            nodata=found.nodata,
            scaling=card.scaling,
        )
    except InputError as error:
        # Everything except the pixel values was checked above: the fault is the cube file's.
        raise InputError(f"{cube_path}: {error}") from error


def load_mask(name: str | Path | Card) -> FixedMask:
    r"""Load the published split that a scene's card names, cut to the scene.

    Args:
        name: A known scene's name, a card's path ending in ".toml", or a card read before.

    Returns:
        Training and test pixels [H, W] by the mask's own class numbers, for `make_split`.

    Raises:
        InputError: The card names no mask, or a file is missing or does not fit the scene.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/labels.npy", np.array([[1, 1, 1, 0]]))
    ...     np.save(f"{folder}/train.npy", np.array([[1, 1, 0, 0]]))
    ...     card = Path(folder, "field.toml")
    ...     _ = card.write_text(
    ...         "cube.file = 'cube.npy'\n"
    ...         "labels.file = 'labels.npy'\n"
    ...         "mask.train.file = 'train.npy'\n"
    ...         "classes = [{name = 'maize'}]"
    ...     )
    ...     load_mask(card).train.tolist()
    [[1, 1, 0, 0]]
    """
    card = name if isinstance(name, Card) else load_card(str(name))
    mask = card.mask
    if mask is None:
        raise InputError(f"{card.path}: found no fixed mask, expected a [mask] table")
    labels_path, _ = obtain_file(card, card.labels)
    size = read_class_numbers(labels_path, card.labels.variable, axes=card.labels.axes).shape
    return FixedMask(
        train=_mask_part(card, mask.train, mask.offset, size),
        test=None if mask.test is None else _mask_part(card, mask.test, mask.offset, size),
    )


def _mask_part(
    card: Card, entry: DataFile, offset: tuple[int, int] | None, size: tuple[int, ...]
) -> NDArray[np.int64]:
    path, _ = obtain_file(card, entry)
    whole = read_class_numbers(path, entry.variable, axes=entry.axes)
    row, column = offset or (0, 0)
    part = whole[row : row + size[0], column : column + size[1]]
    if part.shape != size or (offset is None and whole.shape != size):
        raise InputError(
            f"{path}: found {whole.shape[0]} x {whole.shape[1]} pixels, expected them to hold "
            f"the scene's {size[0]} x {size[1]} from row {row}, column {column}"
        )
    part = np.where(part == GAP, 0, part)
    if part.min() < 0:
        raise InputError(f"{path}: found {part.min()}, expected class numbers of 0 or more")
    return part.astype(np.int64)


def _scene_digest(
    card: Card, cube_digest: str, labels_digest: str, applied: dict[str, object]
) -> str:
    """Hash what defines pixels and classes; titles, colours and folders are left out."""
    defining: dict[str, object] = {
        "name": card.name,
        "classes": [[entry.label, entry.name] for entry in card.classes],
        "cube": [cube_digest, *_array_keys(card.cube)],
        "labels": [labels_digest, *_array_keys(card.labels)],
    }
    # Only where they are in use: scenes without them keep the digest that their networks have.
    if applied:
        defining["reading"] = applied
    if card.label_rules != LabelRules():
        defining["label rules"] = asdict(card.label_rules)
    return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()


def _array_keys(entry: DataFile) -> list[str | None]:
    """Return the keys that choose the array of a file; those added later only where given."""
    return [entry.variable] if entry.axes is None else [entry.variable, entry.axes]
