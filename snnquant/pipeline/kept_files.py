"""Files of the user's that a run folder keeps: the card of its scene, hardware and scaling.

A run works from any folder and after they are gone. The scene's data stay where they are: the
folder knows their place, seen from itself too, and their digests.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snnquant.config import RunConfig, read_config
from snnquant.errors import InputError
from snnquant.io import replacing, write_json
from snnquant.sampling.normalisation import read_scaling
from snnquant.scenes import FixedMask, Scene, load_mask, load_scene
from snnquant.scenes.card import Card, DataFile, read_card
from snnquant.scenes.known import SAVED, SYNTHETIC, load_card
from snnquant.scenes.locate import file_digest, find_file

CARD_FILE = "card.toml"
"""Copy of the scene's card."""
SOURCE_FILE = "scene.json"
"""Place and digests of the scene's data."""
HARDWARE_FILE = "hardware.toml"
"""Copy of the hardware that a user gave as a file."""
CHIP_FILE = "chip.toml"
"""Copy of the chip that a user gave as a file."""
SCALING_FILE = "scaling.npz"
"""The scaling that a user gave as a file."""


def keep_files(folder: Path, config: RunConfig, scene: Scene) -> None:
    """Copy the user's files into a run folder, unless it has them.

    Raises InputError where one cannot be read or written.
    """
    for name, kept in ((config.hardware, HARDWARE_FILE), (config.chip, CHIP_FILE)):
        if name.endswith(".toml") and not (folder / kept).exists():
            _copy(Path(name), folder / kept)
    if config.scaling.endswith(".npz") and not (folder / SCALING_FILE).exists():
        shift, scale = read_scaling(Path(config.scaling), scene.bands)
        with replacing(folder / SCALING_FILE) as temporary, temporary.open("wb") as file:
            np.savez(file, mean=shift, std=scale)


def keep_scene(folder: Path, name: str, digest: str) -> None:
    """Copy a scene's card into a run folder and note where its data are, unless it has them.

    Args:
        folder: The run folder.
        name: The scene's name, as `load_scene` takes it.
        digest: The scene's digest.

    Raises:
        InputError: A file cannot be read or written.
    """
    if name.startswith(SYNTHETIC) or (folder / SOURCE_FILE).exists():
        return
    source: dict[str, Any] = {"scene": name, "digest": digest}
    if name.endswith(SAVED):
        place = Path(name)
        source["files"] = {place.name: file_digest(place)}
    else:
        card = load_card(name)
        place = card.path
        _copy(place, folder / CARD_FILE)
        found = {entry.file: find_file(card, entry) for entry in _entries(card)}
        source |= {"card": card.name, "own": card.own}
        source["files"] = {file: file_digest(path) for file, path in found.items() if path}
    write_json(folder / SOURCE_FILE, source | _place(folder, place.parent))


def hand_on(folder: Path, other: Path) -> None:
    """Copy what a run folder keeps into that of a run of the same scene, unless it is there.

    Raises InputError where a file cannot be read or written.
    """
    for name in (CARD_FILE, HARDWARE_FILE, CHIP_FILE, SCALING_FILE):
        if (folder / name).exists() and not (other / name).exists():
            _copy(folder / name, other / name)
    if (folder / SOURCE_FILE).exists() and not (other / SOURCE_FILE).exists():
        values = KeptScene(folder).values()
        relative = os.path.relpath((folder / values["relative"]).resolve(), other.resolve())
        write_json(other / SOURCE_FILE, values | {"relative": relative})


@dataclass(frozen=True)
class KeptScene:
    """The scene of a run folder that keeps its card; `moved` is where the user says its data are.

    That is a folder, a card in it, or a file that `Scene.save` wrote.
    """

    folder: Path
    moved: str | None = None

    def load(self) -> Scene:
        """Read the scene; raise InputError where its data are in none of the known places."""
        values = self.values()
        if "card" not in values:
            file = Path(values["scene"]).name
            return load_scene(self._found(values, lambda place: (place / file).is_file()) / file)
        return load_scene(self._card(values))

    def mask(self) -> FixedMask:
        """Read the published split of the card; raise InputError as `load`."""
        return load_mask(self._card(self.values()))

    def remember(self) -> None:
        """Note the place that the user named, for the next command."""
        if self.moved is not None:
            values = self.values()
            write_json(self.folder / SOURCE_FILE, values | _place(self.folder, self._places()[0]))

    def other_scene(self) -> Scene | None:
        """Return the scene that `moved` names; None where it is the run's own, whose data moved.

        Raises InputError where it names neither a folder nor a scene.
        """
        name = str(self.moved)
        if Path(name).is_dir():
            return None
        values = self.values() if (self.folder / SOURCE_FILE).exists() else {}
        card = load_card(name) if name.endswith(".toml") else None
        # The name of a card is part of the digest, and data that moved may have a renamed one.
        renamed = None if card is None else replace(card, name=str(values.get("card", card.name)))
        scene = load_scene(renamed or name)
        digests = {scene.digest}
        if values:
            limit = read_config(self.folder / "config.toml").split.drop_small_classes
            with suppress(InputError):  # no class is as large, so that it is not the run's scene
                digests.add(scene.without_small_classes(limit).digest)
        if values.get("digest") in digests:
            return None
        return scene if card is None else replace(scene, name=card.name)

    def values(self) -> dict[str, Any]:
        """Read the note of the scene's place; raise InputError where it is damaged."""
        file = self.folder / SOURCE_FILE
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            _ = values["scene"], values["folder"], values["relative"], values["files"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{file}: damaged, expected the place of a scene ({error})") from None
        return dict(values)

    def _card(self, values: dict[str, Any]) -> Card:
        name = str(values["card"])
        kept = read_card(self.folder / CARD_FILE, own=bool(values["own"]))
        if not kept.own:
            return replace(kept, name=name)
        place = self._found(
            values, lambda place: all(_in(place, e) is not None for e in (kept.cube, kept.labels))
        )
        card = replace(kept, name=name, path=place / f"{name}.toml")
        cube, labels = (_renamed(place, entry) for entry in (kept.cube, kept.labels))
        return replace(card, cube=cube, labels=labels)

    def _places(self) -> list[Path]:
        if self.moved is None:
            values = self.values()
            return [Path(values["folder"]), self.folder / values["relative"]]
        path = Path(self.moved)
        return [path if path.is_dir() else path.parent]

    def _found(self, values: dict[str, Any], holds: Any) -> Path:
        places = self._places()
        place = next((place for place in places if holds(place)), None)
        if place is None:
            files = ", ".join(values["files"])
            raise InputError(
                f"{self.folder}: {files}: not found in {places[0]}, expected the scene's data "
                "there, or --scene with the folder where they are now"
            )
        return place


def _copy(source: Path, target: Path) -> None:
    try:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    except OSError as error:
        raise InputError(f"{source}: cannot be copied ({error.strerror})") from None


def _place(folder: Path, data: Path) -> dict[str, str]:
    """Return a folder's place, and that seen from the run folder."""
    absolute = data.resolve()
    return {"folder": str(absolute), "relative": os.path.relpath(absolute, folder.resolve())}


def _entries(card: Card) -> list[DataFile]:
    mask = [] if card.mask is None else [card.mask.train, card.mask.test]
    return [entry for entry in (card.cube, card.labels, *mask) if entry is not None]


def _in(place: Path, entry: DataFile) -> Path | None:
    """Return the file of an entry in a folder, under its path there or only its name."""
    names = (entry.file, *entry.also, Path(entry.file).name)
    paths = (place / name for name in names)
    return next((path for path in paths if path.is_file() or "*" in path.name), None)


def _renamed(place: Path, entry: DataFile) -> DataFile:
    path = _in(place, entry)
    return entry if path is None else replace(entry, file=str(path.absolute()))
