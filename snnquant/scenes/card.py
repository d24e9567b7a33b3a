"""What a scene card says, as dataclasses; `datasets/README.md` describes the keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataFile:
    """One file of a scene and how to know it."""

    file: str
    """Its usual name; with `distribution`, its path inside that Python package."""
    also: tuple[str, ...] = ()
    """Other names it goes by."""
    variable: str | None = None
    """The array's name where the format has names (.mat, .npz)."""
    sha256: str | None = None
    """64 hexadecimal digits."""
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
    """Empty where the two ends are given instead."""
    start_nm: float | None
    stop_nm: float | None


@dataclass(frozen=True)
class MaskFiles:
    """Files of a published train/test split."""

    train: DataFile
    test: DataFile | None
    offset: tuple[int, int] | None
    """Row and column of the mask at which the scene begins, where the scene is a crop of it."""


@dataclass(frozen=True)
class Card:
    """A scene card, its keys checked."""

    path: Path
    name: str
    """The file's name without ".toml"."""
    own: bool
    """Given by path: its files lie relative to its folder."""
    title: str
    cube: DataFile
    labels: DataFile
    classes: tuple[ClassEntry, ...]
    shape: tuple[int, int, int] | None
    wavelengths: Wavelengths | None
    mask: MaskFiles | None
    sensor: str | None
    licence: str | None
    citation: str | None

    @property
    def label_values(self) -> tuple[int, ...]:
        """Raw class numbers, in the order of the classes."""
        return tuple(entry.label for entry in self.classes)
