"""Scene cards: TOML files read into dataclasses; `datasets/README.md` describes the keys."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from snnquant.config.scaling_names import SCALING_NAMES, is_scaling
from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.scenes.card_rules import (
    CARD_KEYS,
    CUBE_KEYS,
    LABEL_KEYS,
    CubeRules,
    LabelRules,
    cube_rules,
    label_rules,
)
from snnquant.scenes.colours import COLOUR, default_colour
from snnquant.scenes.readers.band_files import pattern_of

T = TypeVar("T")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_KINDS: dict[type, str] = {
    str: "a text",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True)
class DataFile:
    """One file of a scene and the marks by which it is known."""

    file: str
    """Its usual name; with `distribution`, its path inside that Python package."""
    also: tuple[str, ...] = ()
    """Other names of the same file."""
    variable: str | None = None
    """Name of the array where the format has names (.mat, .npz, HDF5)."""
    axes: str | None = None
    """Order of the axes in the file, a permutation of "row column band" or "row column"."""
    sha256: str | None = None
    """64 hexadecimal digits."""
    content: str | None = None
    """sha256 of the array's shape and values, by which a file saved again is known."""
    url: str | None = None
    """Address to download it from."""
    distribution: str | None = None
    """Installed Python package that ships the file."""


@dataclass(frozen=True)
class ClassEntry:
    """One class of the ground truth."""

    name: str
    label: int
    """Its number in the label file."""
    colour: str


@dataclass(frozen=True)
class Wavelengths:
    """Centres of the bands, as a list or evenly spaced between two ends."""

    source: str
    values_nm: tuple[float, ...]
    """Empty where `start_nm` and `stop_nm` are given instead."""
    start_nm: float | None
    stop_nm: float | None


@dataclass(frozen=True)
class MaskFiles:
    """Files of a published train/test split."""

    train: DataFile
    test: DataFile | None
    offset: tuple[int, int] | None
    """Row and column of the mask at which the scene begins, where the scene is a crop."""


@dataclass(frozen=True)
class Card:
    """A scene card, its keys checked."""

    path: Path
    name: str
    """The file's name without ".toml"."""
    own: bool
    """True for a card given by path, whose files lie relative to its folder."""
    title: str
    cube: DataFile
    labels: DataFile
    classes: tuple[ClassEntry, ...]
    """Without those that `label_rules` ignores or merges into others."""
    shape: tuple[int, int, int] | None
    wavelengths: Wavelengths | None
    mask: MaskFiles | None
    sensor: str | None
    licence: str | None
    citation: str | None
    scaling: str | None
    """Scaling of the pixels where `--scaling` is auto; a file with the card's folder."""
    cube_rules: CubeRules
    label_rules: LabelRules

    @property
    def label_values(self) -> tuple[int, ...]:
        """Raw class numbers, in the order of the classes."""
        return tuple(entry.label for entry in self.classes)


# Keys of the tables are the fields of the dataclasses.
_FILE = [field.name for field in fields(DataFile)]
_DERIVED = ("path", "name", "own", "cube_rules", "label_rules")
_CARD = [field.name for field in fields(Card) if field.name not in _DERIVED] + CARD_KEYS


def read_card(path: Path, own: bool) -> Card:
    """Read a card; `own` marks one that the user gave by path.

    Raises `InputError` that names the card and the key, what was found and what was expected.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: found {one_line(error)}, expected a readable TOML file"
        ) from error
    table = Table(path, "", values, _CARD)
    of_labels = label_rules(table)
    return Card(
        path=path,
        name=path.stem,
        own=own,
        title=table.optional("title", str) or path.stem,
        cube=_data_file(table, "cube", CUBE_KEYS),
        labels=_data_file(table, "labels", LABEL_KEYS),
        classes=_classes(table, of_labels),
        shape=_shape(table),
        wavelengths=_wavelengths(table),
        mask=_mask(table),
        sensor=table.optional("sensor", str),
        licence=table.optional("licence", str),
        citation=table.optional("citation", str),
        scaling=_scaling(table),
        cube_rules=cube_rules(table),
        label_rules=of_labels,
    )


class Table:
    """A TOML table and its allowed keys; errors name the card and the key."""

    def __init__(self, path: Path, prefix: str, values: dict[str, Any], keys: list[str]) -> None:
        self.path, self.prefix, self.values = path, prefix, values
        for key in values:
            if key not in keys:
                raise self.fail(key, "an unknown key", f"one of {', '.join(keys)}")

    def fail(self, key: str, found: object, expected: str) -> InputError:
        """Return the error that names a key."""
        return InputError(f"{self.path}: {self.prefix}{key}: found {found}, expected {expected}")

    def optional(self, key: str, kind: type[T]) -> T | None:
        """Return a value, None where the key is missing."""
        if key not in self.values:
            return None
        return self._checked(key, self.values[key], kind)

    def required(self, key: str, kind: type[T]) -> T:
        """Return a value; raise `InputError` where the key is missing."""
        if key not in self.values:
            raise self.fail(key, "nothing", _KINDS[kind])
        return self._checked(key, self.values[key], kind)

    def items(self, key: str, kind: type[T]) -> tuple[T, ...]:
        """Return the entries of a list, none where the key is missing."""
        entries = self.optional(key, list) or []
        return tuple(self._checked(f"{key}.{i}", entry, kind) for i, entry in enumerate(entries))

    def optional_table(self, key: str, keys: list[str]) -> Table | None:
        """Return an inner table, None where the key is missing."""
        values = self.optional(key, dict)
        return None if values is None else Table(self.path, f"{self.prefix}{key}.", values, keys)

    def _checked(self, key: str, value: Any, kind: type[T]) -> T:
        if kind is float and type(value) is int:
            value = float(value)
        # type() and not isinstance(): true is an int to Python, not to a reader of the card.
        if type(value) is not kind or value == "":
            raise self.fail(key, repr(value), _KINDS[kind])
        checked: T = value
        return checked


def _data_file(parent: Table, key: str, more_keys: Sequence[str] = ()) -> DataFile:
    table = parent.optional_table(key, [*_FILE, *more_keys])
    if table is None:
        raise parent.fail(key, "nothing", "a table")
    entry = DataFile(
        file=_file(table),
        also=table.items("also", str),
        variable=table.optional("variable", str),
        axes=table.optional("axes", str),
        sha256=table.optional("sha256", str),
        content=table.optional("content", str),
        url=table.optional("url", str),
        distribution=table.optional("distribution", str),
    )
    words = sorted(word.removesuffix("s") for word in (entry.axes or "column row").split())
    if words not in (["column", "row"], ["band", "column", "row"]):
        raise table.fail("axes", repr(entry.axes), "the words row, column and band in any order")
    for name, digest in (("sha256", entry.sha256), ("content", entry.content)):
        if digest is not None and not _DIGEST.fullmatch(digest):
            raise table.fail(name, repr(digest), "64 hexadecimal digits, lower case")
    if entry.url is not None:
        if not entry.url.startswith(("https://", "http://")):
            raise table.fail("url", repr(entry.url), "an http or https address")
        if entry.sha256 is None:
            raise table.fail("sha256", "nothing", "the digest of what the address serves")
        if Path(entry.file).name != entry.file:
            raise table.fail("file", repr(entry.file), "only a file name beside an address")
    return entry


def _file(table: Table) -> str:
    """Return the name of a file; for a list, one per band, the pattern that stands for it."""
    if not isinstance(table.values.get("file"), list):
        return table.required("file", str)
    pattern = pattern_of(table.items("file", str))
    if pattern is None:
        raise table.fail("file", table.values["file"], "names of files in one folder, no commas")
    return pattern


def _classes(parent: Table, rules: LabelRules) -> tuple[ClassEntry, ...]:
    tables = parent.items("classes", dict)
    if not tables:
        raise parent.fail("classes", "none", "one [[classes]] table per class")
    classes: list[ClassEntry] = []
    for index, values in enumerate(tables):
        table = Table(parent.path, f"classes.{index}.", values, ["name", "label", "colour"])
        label = table.optional("label", int)
        entry = ClassEntry(
            name=table.required("name", str),
            label=index + 1 if label is None else label,
            colour=table.optional("colour", str) or default_colour(index),
        )
        if not COLOUR.fullmatch(entry.colour):
            raise table.fail("colour", repr(entry.colour), 'the form "#rrggbb"')
        if entry.label < (1 if rules.nodata is None else 0):
            raise table.fail("label", entry.label, "1 or more (0 marks unlabelled pixels)")
        if entry.name in (other.name for other in classes):
            raise table.fail("name", f"{entry.name!r} twice", "a different name for each class")
        if entry.label in (other.label for other in classes):
            raise table.fail("label", f"{entry.label} twice", "a different label for each class")
        classes.append(entry)
    gone = {*rules.ignore_labels, *(number for group in rules.merge for number in group[1:])}
    kept = tuple(entry for entry in classes if entry.label not in gone)
    if not kept:
        raise parent.fail("classes", "all ignored or merged", "one that is left")
    return kept


def _scaling(card: Table) -> str | None:
    scaling = card.optional("scaling", str)
    if scaling is None or scaling == "auto":
        return None
    if not is_scaling(scaling):
        raise card.fail("scaling", repr(scaling), SCALING_NAMES)
    return str(card.path.parent / scaling) if scaling.endswith(".npz") else scaling


def _shape(parent: Table) -> tuple[int, int, int] | None:
    if "shape" not in parent.values:
        return None
    shape = parent.items("shape", int)
    if len(shape) != 3 or min(shape) < 1:
        raise parent.fail("shape", list(shape), "rows, columns and bands, each 1 or more")
    return shape[0], shape[1], shape[2]


def _wavelengths(parent: Table) -> Wavelengths | None:
    table = parent.optional_table("wavelengths", ["source", "values_nm", "start_nm", "stop_nm"])
    if table is None:
        return None
    waves = Wavelengths(
        source=table.required("source", str),
        values_nm=table.items("values_nm", float),
        start_nm=table.optional("start_nm", float),
        stop_nm=table.optional("stop_nm", float),
    )
    ends = [end for end in (waves.start_nm, waves.stop_nm) if end is not None]
    if len(ends) != (0 if waves.values_nm else 2):
        given = ", ".join(key for key in table.values if key != "source") or "neither"
        raise table.fail("values_nm", given, "either values_nm, or start_nm and stop_nm")
    # Written so that NaN, which TOML can spell, fails too.
    if not all(0 < value < 1e9 for value in (*waves.values_nm, *ends)):
        raise table.fail("values_nm", "a value out of range", "nanometres above 0")
    return waves


def _mask(parent: Table) -> MaskFiles | None:
    table = parent.optional_table("mask", ["train", "test", "offset"])
    if table is None:
        return None
    offset = table.items("offset", int)
    if "offset" in table.values and (len(offset) != 2 or min(offset) < 0):
        raise table.fail("offset", list(offset), "a row and a column, each 0 or more")
    return MaskFiles(
        train=_data_file(table, "train"),
        test=_data_file(table, "test") if "test" in table.values else None,
        offset=(offset[0], offset[1]) if offset else None,
    )
