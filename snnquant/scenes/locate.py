"""Locate a scene's files, downloading them if missing.

Files of a card given by path lie relative to its folder. Those of a card of the package lie in the
folder that the environment variable SNNQUANT_DATA names, upper and lower case alike, or inside an
installed Python package where the card says so. A file with an address that is in neither place is
downloaded on first use, to `pooch.os_cache("snnquant")/<card>/`. SNNQUANT_DATA is only ever read.
"""

from __future__ import annotations

import hashlib
import os
from importlib import metadata
from pathlib import Path

from snnquant.errors import InputError
from snnquant.scenes.card import Card, DataFile
from snnquant.scenes.pixels import remark
from snnquant.scenes.readers import content_files, read_array
from snnquant.scenes.readers.band_files import band_paths

DATA_VARIABLE = "SNNQUANT_DATA"


def find_file(card: Card, entry: DataFile) -> Path | None:
    """Return the file if it is available locally, unchecked, else None; no network is used.

    Raises `InputError` where SNNQUANT_DATA names something that is not a folder.
    """
    found = _local(card, entry)
    if found is None and entry.url is not None and _cached(card, entry).is_file():
        return _cached(card, entry)
    return found


def obtain_file(card: Card, entry: DataFile) -> tuple[Path, str]:
    """Return the file, downloaded if missing, and its sha256, checked against the card's if any.

    Raises `InputError` that names the file, the places searched and the fault.
    """
    path = _local(card, entry)
    if path is None and entry.url is not None and entry.sha256 is not None:
        from snnquant.scenes.download import download

        path = _cached(card, entry)
        download(entry.url, path, entry.sha256)
    if path is None:
        raise InputError(_nowhere(card, entry))
    found = file_digest(path)
    if entry.sha256 is None or found == entry.sha256:
        return path, found
    if (
        entry.content is not None
        and content_digest(path, entry.variable, entry.axes) == entry.content
    ):
        remark(f"{path}: saved again, with the values that the card {card.name} expects")
        return path, entry.sha256
    raise InputError(
        f"{path}: found sha256 {found[:12]}, expected {entry.sha256[:12]} as the card {card.name} "
        "says; for a file of other values, or saved again, use a copy of the card without sha256"
    )


def file_digest(path: Path) -> str:
    """Return the sha256 of a data file, or of all files it consists of, one after the other.

    Raises `InputError` for a file that cannot be read.
    """
    digest = hashlib.sha256()
    for part in content_files(path):
        try:
            with part.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise InputError(f"{part}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def content_digest(path: Path, variable: str | None, axes: str | None = None) -> str:
    """Return the sha256 of the shape and values of an array, whatever its format and type.

    Raises `InputError` as `read_array` does.
    """
    array = read_array(path, variable, axes)
    digest = hashlib.sha256(" ".join(map(str, array.shape)).encode())
    for row in array:
        digest.update(row.astype("<f8").tobytes())
    return digest.hexdigest()


def _local(card: Card, entry: DataFile) -> Path | None:
    if entry.distribution is not None:
        return _inside_package(entry.distribution, entry.file)
    return _beside(card, entry) if card.own else _in_data_folder(entry)


def _inside_package(distribution: str, file: str) -> Path | None:
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(file)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _beside(card: Card, entry: DataFile) -> Path | None:
    paths = (card.path.parent / name for name in (entry.file, *entry.also))
    return next((path for path in paths if path.is_file() or _all_bands(path)), None)


def _all_bands(path: Path) -> bool:
    bands = band_paths(path)
    return bool(bands) and all(band.is_file() for band in bands or ())


def _data_folder() -> Path | None:
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        return None
    folder = Path(value)
    if not folder.is_dir():
        raise InputError(f"{DATA_VARIABLE}: found {value}, expected a folder")
    return folder


def _in_data_folder(entry: DataFile) -> Path | None:
    folder = _data_folder()
    if folder is None:
        return None
    names = [name.lower() for name in (entry.file, *entry.also)]
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise InputError(f"{DATA_VARIABLE}: {folder} cannot be read ({error.strerror})") from error
    matches = [path for path in paths if path.name.lower() in names and path.is_file()]
    # The card's own spelling first, where a folder has several.
    return min(matches, key=lambda path: (path.name != entry.file, path.name), default=None)


def _cached(card: Card, entry: DataFile) -> Path:
    import pooch

    return Path(pooch.os_cache("snnquant")) / card.name / entry.file


def _nowhere(card: Card, entry: DataFile) -> str:
    if entry.distribution is not None:
        return (
            f"{entry.file}: not found, expected in the installed Python package "
            f"{entry.distribution} (pip install {entry.distribution})"
        )
    if card.own:
        return f"{card.path.parent / entry.file}: not found, expected beside the card {card.path}"
    folder = _data_folder()
    where = f"{DATA_VARIABLE} is not set" if folder is None else f"{DATA_VARIABLE} is {folder}"
    return f"{entry.file}: not found, expected in the folder that {DATA_VARIABLE} names ({where})"
