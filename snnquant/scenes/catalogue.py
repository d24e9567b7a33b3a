"""Which scenes there are: cards by name or by path."""

from __future__ import annotations

import difflib
from pathlib import Path

import snnquant
from snnquant.errors import InputError
from snnquant.scenes.card import Card, read_card

SYNTHETIC = "synthetic:"
"""How the names of generated scenes begin."""


def cards_folder() -> Path:
    """Folder of the cards that come with the package: inside a wheel, beside it in a checkout."""
    package = Path(snnquant.__file__).parent
    inside = package / "datasets"
    return inside if inside.is_dir() else package.parent / "datasets"


def known_scenes() -> list[str]:
    """Names of the cards that come with the package, sorted."""
    return sorted(path.stem for path in cards_folder().glob("*.toml"))


def load_card(name: str) -> Card:
    """Read the card of a known scene, or the card at a path ending in ".toml".

    Raises `InputError` naming the card and the key.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise InputError(f"{name}: found no such file, expected a scene card")
        return read_card(path, own=True)
    if name.startswith(SYNTHETIC):
        raise InputError(f"scene: found {name}, which is made up, expected a scene with a card")
    known = known_scenes()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(
            f"scene: found {name}{hint}, expected one of {', '.join(known)}, "
            f"a card's path ending in .toml, or {SYNTHETIC}HxWxB[:SEED]"
        )
    return read_card(cards_folder() / f"{name}.toml", own=False)
